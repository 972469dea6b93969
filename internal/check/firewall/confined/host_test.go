// SPDX-License-Identifier: Apache-2.0

package confined

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// The far ends of the wires that lead into the hypervisor.
const (
	red = iota
	blue
	outside
	ends
)

// wires are the hypervisor's devices, and who is behind them.
func wires() [ends]struct{ port, bridge, address, neighbour string } {
	return [ends]struct{ port, bridge, address, neighbour string }{
		red:     {"tap-red", "br-red", "192.168.0.1/24", "192.168.0.10"},
		blue:    {"tap-blue", "br-blue", "192.168.1.1/24", "192.168.1.10"},
		outside: {"ens3", "", "192.0.2.1/24", "192.0.2.2"},
	}
}

// host is a hypervisor, and the far ends of its wires in a namespace in which nothing answers.
type host struct {
	t           *testing.T
	ns, far     *netns.NS
	sockets     [ends]int
	macs        [ends]net.HardwareAddr // of the hypervisor's devices
	connections *netlink.Handle
}

func newHost(t *testing.T) *host {
	h := &host{t: t}
	h.ns, h.far = h.namespace("hypervisor"), h.namespace("far")
	h.do(h.ns, func() error {
		return settings(map[string]string{
			"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
			"ipv4/icmp_ratelimit": "0", "ipv4/icmp_ratemask": "0", "ipv4/conf/all/send_redirects": "0",
			"ipv6/conf/default/disable_ipv6": "1", "ipv6/conf/all/disable_ipv6": "1",
		})
	})
	h.do(h.far, func() error {
		return settings(map[string]string{"ipv6/conf/default/disable_ipv6": "1", "ipv6/conf/all/disable_ipv6": "1"})
	})
	for i, w := range wires() {
		h.wire(i, w.port, w.bridge, w.address, w.neighbour)
	}
	nl := h.netlink(h.ns)
	if err := nl.RouteAdd(&netlink.Route{Gw: net.ParseIP("192.0.2.2")}); err != nil {
		t.Fatal(err)
	}
	connections, err := h.ns.Netlink(unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	h.connections = connections
	t.Cleanup(connections.Close)
	return h
}

func (h *host) do(ns *netns.NS, fn func() error) {
	h.t.Helper()
	if err := ns.Do(fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) namespace(role string) *netns.NS {
	name := fmt.Sprintf("dwcf%d-%s", os.Getpid(), role)
	ns, err := netns.Create(name)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			h.t.Error(err)
		}
	})
	return ns
}

func (h *host) netlink(ns *netns.NS) *netlink.Handle {
	nl, err := ns.Netlink()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(nl.Close)
	return nl
}

func settings(values map[string]string) error {
	for name, value := range values {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// wire makes a pair, and the bridge to which the hypervisor's end belongs.
func (h *host) wire(i int, port, bridge, address, neighbour string) {
	h.t.Helper()
	nl := h.netlink(h.ns)
	check := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatalf("%s: %v", port, err)
		}
	}
	pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: fmt.Sprint("far", i), PeerNamespace: netlink.NsFd(h.far.FD())}
	pair.Name = port
	check(nl.LinkAdd(pair))
	device := port
	if bridge != "" {
		device = bridge
		snooping := false // or the bridge would send reports of its own
		b := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &snooping}
		b.Name = bridge
		check(nl.LinkAdd(b))
		link, err := nl.LinkByName(port)
		check(err)
		check(nl.LinkSetMasterByIndex(link, b.Index))
		check(nl.LinkSetUp(link))
	}
	link, err := nl.LinkByName(device)
	check(err)
	addr, err := netlink.ParseAddr(address)
	check(err)
	check(nl.AddrAdd(link, addr))
	check(nl.LinkSetUp(link))
	link, err = nl.LinkByName(device)
	check(err)
	h.macs[i] = link.Attrs().HardwareAddr
	far := h.netlink(h.far)
	end, err := far.LinkByName(fmt.Sprint("far", i))
	check(err)
	check(far.LinkSetUp(end))
	check(nl.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(neighbour), HardwareAddr: end.Attrs().HardwareAddr,
	}))
	h.open(i, end.Attrs().Index)
}

// open opens a packet socket on a far end.
func (h *host) open(i, index int) {
	protocol := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
	h.do(h.far, func() (err error) {
		h.sockets[i], err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
		return err
	})
	h.t.Cleanup(func() { _ = unix.Close(h.sockets[i]) })
	if err := unix.SetsockoptInt(h.sockets[i], unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		h.t.Fatal(err)
	}
	if err := unix.Bind(h.sockets[i], &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index}); err != nil {
		h.t.Fatal(err)
	}
}

// tables returns what iptables-save prints of the kind of iptables; with only, of that table.
func (h *host) tables(kind string, only ...string) string {
	h.t.Helper()
	args := []string{"-c"}
	for _, table := range only {
		args = append(args, "-t", table)
	}
	return h.run("", "iptables-"+kind+"-save", args...)
}

// run runs a program on the hypervisor.
func (h *host) run(stdin, program string, args ...string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := h.ns.Do(cmd.Run); err != nil {
		h.t.Fatalf("%s: %v: %s", cmd, err, stderr.Bytes())
	}
	return stdout.String()
}
