// SPDX-License-Identifier: Apache-2.0

package traps

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

const (
	// patience is how long something may take that has to happen: a machine may have much else to do.
	patience = 2 * time.Minute
	// moment is how long to wait for a packet that may be lost.
	moment = time.Second
)

const (
	guestAddr = "192.168.0.10"
	outAddr   = "203.0.113.8"
)

// lab is a hypervisor with a guest behind a bridge, and somebody out there.
type lab struct {
	testing.TB
	hv, guest, out *netns.NS
	manager        *accelerator.Manager
}

func newLab(t testing.TB) *lab {
	t.Helper()
	privilegetest.BPF(t)
	if err := bypass.Supported(); err != nil {
		privilegetest.Kernel(t, err)
		t.Fatal(err)
	}
	l := &lab{TB: t}
	l.hv, l.guest, l.out = l.space(), l.space(), l.space()
	l.run(l.hv, "ip link add ens3 type veth peer name eth0 netns "+l.out.Name())
	l.run(l.hv, "ip link set ens3 up")
	l.run(l.hv, "ip link add br-red type bridge")
	l.run(l.hv, "ip addr add 192.168.0.1/24 dev br-red")
	l.run(l.hv, "ip link set br-red up")
	l.run(l.hv, "ip link add red-1 type veth peer name eth0 netns "+l.guest.Name())
	l.run(l.hv, "ip link set red-1 master br-red up")
	l.run(l.hv, "sysctl -qw net.ipv4.ip_forward=1")
	l.run(l.guest, "ip addr add "+guestAddr+"/24 dev eth0")
	l.run(l.guest, "ip link set eth0 up")
	l.run(l.guest, "ip route add default via 192.168.0.1")
	l.run(l.out, "ip link set eth0 up")
	return l
}

// uplink gives the hypervisor its address at the device, and translates what leaves there.
func (l *lab) uplink(device string) {
	l.Helper()
	l.run(l.hv, "ip addr add 203.0.113.1/24 dev "+device)
	l.run(l.hv, "ip route add default via "+outAddr)
	l.run(l.out, "ip addr add "+outAddr+"/24 dev eth0")
	l.run(l.hv, "nft add table ip nat")
	l.run(l.hv, "nft add chain ip nat post { type nat hook postrouting priority 100; }")
	l.run(l.hv, "nft add rule ip nat post oifname "+device+" masquerade")
}

func (l *lab) space() *netns.NS {
	l.Helper()
	name := "dwell-trap-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if err := errors.Join(ns.Close(), netns.Delete(name)); err != nil {
			l.Error(err)
		}
	})
	return ns
}

func (l *lab) run(ns *netns.NS, command string) string {
	l.Helper()
	words := strings.Fields(command)
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.CommandContext(l.Context(), words[0], words[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		l.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

func (l *lab) in(ns *netns.NS, fn func() error) {
	l.Helper()
	if err := ns.Do(fn); err != nil {
		l.Fatal(err)
	}
}

// start has red's flows take the fast path, with a lease, or 0 for the usual one.
func (l *lab) start(lease time.Duration) {
	l.Helper()
	pin := filepath.Join(l.TempDir(), "bpf")
	m, err := accelerator.New(accelerator.Options{Pin: pin, NetNS: l.hv, NICs: []string{"ens3"}, Lease: lease})
	if err != nil {
		l.Fatal(err)
	}
	set, err := tenant.NewSet([]tenant.Tenant{{ID: "red", Origin: "test", Ports: []string{"red-*"}}}, nil, nil)
	if err != nil {
		l.Fatal(err)
	}
	m.SetTenants(set, map[string]flow.Mode{"red": flow.On})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	l.manager = m
	l.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, m.Close()); err != nil {
			l.Error(err)
		}
		if err := unix.Unmount(pin, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			l.Error(err)
		}
	})
	l.until("released", func() bool {
		s := l.status()
		return s.Attended && !s.Held
	})
}

func (l *lab) status() *accelerator.Status {
	l.Helper()
	s, err := l.manager.Status(l.Context(), accelerator.Query{Operator: true})
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// fast returns how many fast packets there were from the guest, and to it.
func (l *lab) fast() (from, to uint64) {
	l.Helper()
	t := l.status().Tenants[0]
	return t.From.Fast, t.To.Fast
}

// until waits until something is so.
func (l *lab) until(what string, is func() bool) {
	l.Helper()
	for limit := time.Now().Add(patience); !is(); {
		if time.Now().After(limit) {
			l.Fatalf("not %s; status %+v", what, l.status())
		}
	}
}

// sockets returns two that talk to each other: one in the guest and one out there, at the address.
func (l *lab) sockets(addr string) (guest, out *net.UDPConn) {
	l.Helper()
	l.in(l.out, func() (err error) {
		out, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(addr)})
		return err
	})
	l.Cleanup(func() { out.Close() })
	l.in(l.guest, func() (err error) {
		guest, err = net.DialUDP("udp", nil, out.LocalAddr().(*net.UDPAddr))
		return err
	})
	l.Cleanup(func() { guest.Close() })
	return guest, out
}

// said sends a packet out and has it answered. It reports whether the answer came.
func said(guest, out *net.UDPConn) bool { return saidWithin(guest, out, patience) }

func saidWithin(guest, out *net.UDPConn, most time.Duration) bool {
	buf := make([]byte, 2048)
	limit := time.Now().Add(most)
	if errors.Join(out.SetReadDeadline(limit), guest.SetReadDeadline(limit)) != nil {
		return false
	}
	if _, err := guest.Write([]byte("0123456789")); err != nil {
		return false
	}
	n, from, err := out.ReadFromUDPAddrPort(buf)
	if err != nil {
		return false
	}
	if _, err := out.WriteToUDPAddrPort(buf[:n], from); err != nil {
		return false
	}
	_, err = guest.Read(buf)
	return err == nil
}

// talk has packets go both ways until some of both are fast. All have to arrive.
func (l *lab) talk(guest, out *net.UDPConn) {
	l.Helper()
	from, to := l.fast()
	l.until("fast both ways", func() bool {
		if !said(guest, out) {
			l.Fatalf("a packet is lost; neighbours:\n%s", l.run(l.hv, "ip neigh"))
		}
		a, b := l.fast()
		return a > from+1 && b > to+1
	})
}

// nothingDiffers fails if the kernel once did something else than was foretold.
func (l *lab) nothingDiffers() {
	l.Helper()
	if t := l.status().Tenants[0]; t.From.Differ+t.To.Differ != 0 {
		l.Errorf("%+v, %+v", t.From, t.To)
	}
}
