// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// lab is a host with a guest on a bridge and the world on another device:
//
//	guest g0 192.0.2.10 2001:db8:1::10 | p0 br 192.0.2.1 2001:db8:1::1 host w1 198.51.100.1 2001:db8:2::1 | w0 198.51.100.2 2001:db8:2::2 world
type lab struct {
	t                  testing.TB
	host, guest, world *netns.NS
	port               scope.Port
	device             scope.Device
	pin                string
}

var labs atomic.Uint32

func newNS(t testing.TB, name string) *netns.NS {
	t.Helper()
	ns, err := netns.Create(fmt.Sprintf("dwell-dp-%d-%d-%s", os.Getpid(), labs.Add(1), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ns.Close(), netns.Delete(ns.Name())); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func newLab(t testing.TB) *lab {
	t.Helper()
	privilegetest.BPF(t)
	l := &lab{t: t, host: newNS(t, "host"), guest: newNS(t, "guest"), world: newNS(t, "world"), pin: newPin(t)}
	l.sysctl(l.host, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	for _, ns := range []*netns.NS{l.guest, l.world} { // which say nothing by themselves
		l.run(ns, "iptables-legacy", "-P", "OUTPUT", "DROP")
		l.run(ns, "ip6tables-legacy", "-P", "OUTPUT", "DROP")
	}
	for _, ns := range []*netns.NS{l.host, l.guest, l.world} {
		l.sysctl(ns, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.router_solicitations=0")
		l.ip(ns, "link set lo up")
	}
	l.ip(l.host, "link add name br type bridge", "link set dev br address 02:00:00:00:01:01",
		fmt.Sprintf("link add name p0 type veth peer name g0 netns %s", l.guest.Name()), "link set p0 master br",
		fmt.Sprintf("link add name w1 type veth peer name w0 netns %s", l.world.Name()))
	l.ip(l.guest, "link set g0 address 02:00:00:00:01:10")
	l.ip(l.world, "link set w0 address 02:00:00:00:02:02")
	l.ip(l.host, "link set w1 address 02:00:00:00:02:01", "link set dev br up", "link set p0 up", "link set w1 up",
		"addr add 192.0.2.1/24 dev br", "addr add 2001:db8:1::1/64 dev br nodad",
		"addr add 198.51.100.1/24 dev w1", "addr add 2001:db8:2::1/64 dev w1 nodad",
		"neigh add 192.0.2.10 lladdr 02:00:00:00:01:10 dev br", "neigh add 2001:db8:1::10 lladdr 02:00:00:00:01:10 dev br",
		"neigh add 198.51.100.2 lladdr 02:00:00:00:02:02 dev w1", "neigh add 2001:db8:2::2 lladdr 02:00:00:00:02:02 dev w1")
	l.ip(l.guest, "link set g0 up", "addr add 192.0.2.10/24 dev g0", "addr add 2001:db8:1::10/64 dev g0 nodad",
		"neigh add 192.0.2.1 lladdr 02:00:00:00:01:01 dev g0", "neigh add 2001:db8:1::1 lladdr 02:00:00:00:01:01 dev g0",
		"route add default via 192.0.2.1", "-6 route add default via 2001:db8:1::1")
	l.ip(l.world, "link set w0 up", "addr add 198.51.100.2/24 dev w0", "addr add 2001:db8:2::2/64 dev w0 nodad",
		"neigh add 198.51.100.1 lladdr 02:00:00:00:02:01 dev w0", "neigh add 2001:db8:2::1 lladdr 02:00:00:00:02:01 dev w0",
		"route add default via 198.51.100.1", "-6 route add default via 2001:db8:2::1")
	l.look()
	return l
}

// newPin returns a directory of bpffs of the test's own.
func newPin(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pin")
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
	return dir
}

// look reads indices and addresses of the port and its bridge.
func (l *lab) look() {
	l.t.Helper()
	l.in(l.host, func() error {
		port, err := netlink.LinkByName("p0")
		if err != nil {
			return err
		}
		br, err := netlink.LinkByName("br")
		if err != nil {
			return err
		}
		l.device = scope.Device{Name: "br", Index: br.Attrs().Index, MAC: [6]byte(br.Attrs().HardwareAddr)}
		l.port = scope.Port{Name: "p0", Index: port.Attrs().Index, Device: br.Attrs().Index}
		return nil
	})
}

func (l *lab) in(ns *netns.NS, fn func() error) {
	l.t.Helper()
	if err := ns.Do(fn); err != nil {
		l.t.Fatal(err)
	}
}

// run runs a command in a namespace and returns what it prints.
func (l *lab) run(ns *netns.NS, words ...string) string {
	l.t.Helper()
	var out []byte
	l.in(ns, func() (err error) {
		if out, err = exec.CommandContext(l.t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out)
		}
		return nil
	})
	return string(out)
}

func (l *lab) ip(ns *netns.NS, commands ...string) {
	l.t.Helper()
	for _, c := range commands {
		l.run(ns, append([]string{"ip"}, strings.Fields(c)...)...)
	}
}

func (l *lab) sysctl(ns *netns.NS, settings ...string) {
	l.t.Helper()
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		l.in(ns, func() error {
			return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0o600)
		})
	}
}

// open opens the tenant's programs, which are removed when the test ends.
func (l *lab) open() *Datapath {
	l.t.Helper()
	d, err := Open(Options{Pin: l.pin, Tenant: 7, NetNS: l.host})
	if err != nil {
		l.t.Fatalf("%+v", err)
	}
	l.t.Cleanup(func() { d.Close() })
	return d
}

// attached opens the programs and attaches them to the port.
func (l *lab) attached() *Datapath {
	l.t.Helper()
	d := l.open()
	if _, err := d.Attach(l.port, l.device); err != nil {
		l.t.Fatal(err)
	}
	return d
}

// uplink returns the index of the device to the world.
func (l *lab) uplink() (index int) {
	l.t.Helper()
	l.in(l.host, func() error {
		link, err := netlink.LinkByName("w1")
		if err == nil {
			index = link.Attrs().Index
		}
		return err
	})
	return index
}
