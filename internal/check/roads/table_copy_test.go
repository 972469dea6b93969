// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// copyRoads are those on which a copy of the packet goes another way, or a program takes a
// copy and answers or sends it on.
func copyRoads() []road {
	return []road{
		{
			name: "tc-mirred-mirror", what: "a router mirrors what comes in to a probe, by tc's mirred",
			setup: func(w *world) {
				w.routed()
				w.probe()
				w.mirred("r", "va", ingress, netlink.TCA_EGRESS_MIRROR, "probe0")
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: way(routedWay).and(copied)}},
		},
		{
			name: "nft-dup", what: "a router sends a copy to a probe, by nftables' dup",
			setup: func(w *world) {
				w.routed()
				w.probe()
				w.dup("r", "va", "probe0")
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: way(routedWay).and(copied)}},
		},
		{
			name: "bridge-flood", what: "a bridge that does not know the receiver and floods its ports",
			setup: func(w *world) {
				w.bridged()
				w.ns("c")
				w.veth("c", "eth0", "hv", "vc")
				forgets := uint32(0)
				w.link("hv", &netlink.Bridge{LinkAttrs: named("br1"), AgeingTime: &forgets})
				w.enslave("hv", "br1", "va", "vb", "vc")
				w.warm("a", "192.0.2.2")
			},
			pings: []traffic{{from: "a", to: "192.0.2.2", want: way(strings.ReplaceAll(bridgeWay, "br0", "br1")).and(copied)}},
		},
		{
			name: "packet-socket", what: "a program with an IP stack of its own pings by a packet socket",
			setup: func(w *world) { w.pair(); w.warm("a", "192.0.2.2") },
			pings: []traffic{{
				from: "a", to: "192.0.2.2", want: way(pairWay),
				send: byPacketSocket("a0", netip.MustParseAddr("192.0.2.1"), func(w *world) net.HardwareAddr { return w.mac("b", "b0") }),
			}},
		},
		{
			name: "userspace-switch", what: "a switch in user space, by packet sockets",
			setup: func(w *world) {
				w.patched()
				w.userspaceSwitch("hv", "va", "vb")
				w.warm("a", "192.0.2.2")
			},
			pings: ab("[{1}] transmit eth0 | link eth0 -> v{1} [hv] deliver | process v{1} -> v{2} | transmit v{2} | link v{2} -> eth0 [{2}] deliver"),
		},
		{
			name: "ovs", what: "Open vSwitch's kernel datapath", needs: []string{"openvswitch"},
			setup: func(w *world) {
				w.patched()
				w.openVSwitch("hv", "ovs-br", "va", "vb")
				w.warm("a", "192.0.2.2")
			},
			pings: ab("[{1}] transmit eth0 | link eth0 -> v{1} [hv] bridge ovs-br | queue v{2} | link v{2} -> eth0 [{2}] deliver"),
		},
	}
}

// copied demands the event that says that there was a copy.
func copied(w *want) { w.event = "copy" }

// probe gives the router of routed a device at whose other end somebody listens.
func (w *world) probe() {
	w.ns("probe")
	w.veth("r", "probe0", "probe", "eth0")
}

// dup has nftables send a copy of what comes in on a device to another one.
func (w *world) dup(role, device, to string) {
	conn, err := nftables.New(nftables.WithNetNSFd(w.at(role).FD()))
	w.must(err, "nftables")
	table := conn.AddTable(&nftables.Table{Name: "road", Family: nftables.TableFamilyNetdev})
	chain := conn.AddChain(&nftables.Chain{
		Name: "copies", Table: table, Type: nftables.ChainTypeFilter, Device: device,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(w.index(role, to)))},
		&expr.Dup{RegDev: 1, IsRegDevSet: true},
	}})
	w.must(conn.Flush(), "nftables dup")
}

// userspaceSwitch sends each frame that arrives on one of two ports to the other, as Open
// vSwitch's user-space datapath does with packet sockets.
func (w *world) userspaceSwitch(role string, ports ...string) {
	var files []*os.File
	for _, p := range ports {
		w.must(w.at(role).nl.SetPromiscOn(w.dev(role, p)), "promiscuous mode of", p)
		fd, err := w.at(role).packetSocket(p, unix.ETH_P_ALL)
		w.must(err, "packet socket on", p)
		w.must(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1), "PACKET_IGNORE_OUTGOING")
		files = append(files, os.NewFile(uintptr(fd), p))
	}
	for i := range files {
		in, out := files[i], files[1-i]
		w.goroutine(func() {
			b := make([]byte, 65536)
			for {
				n, err := in.Read(b)
				if err != nil {
					return
				}
				if _, err := out.Write(b[:n]); err != nil {
					return
				}
			}
		}, func() { in.Close() })
	}
}
