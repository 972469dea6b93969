// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// patched makes a and b, whose veth pairs end in hv, where nothing joins them yet.
func (w *world) patched() {
	w.ns("a", "hv", "b")
	w.veth("a", "eth0", "hv", "va")
	w.veth("b", "eth0", "hv", "vb")
	w.addr("a", "eth0", "192.0.2.1/24")
	w.addr("b", "eth0", "192.0.2.2/24")
}

// crosswise calls fn for both directions through hv.
func crosswise(fn func(from, to string)) { fn("va", "vb"); fn("vb", "va") }

// ab pings from a to b of patched.
func ab(path string) []traffic { return []traffic{{from: "a", to: "192.0.2.2", want: way(path)}} }

// peerWay is that through patched into the other namespace, which no hook sees; xdpWay is
// that on which XDP gives the frame to the driver.
const (
	peerWay = "[{1}] transmit eth0 | link eth0 -> v{1} [hv] redirect v{1} -> eth0 [{2}] deliver"
	xdpWay  = "[{1}] transmit eth0 | link eth0 -> v{1} [hv] redirect v{1} -> eth0 [{2}] deliver"
)

// redirectRoads are those on which a program or a rule takes the packet to another device.
func redirectRoads() []road {
	tc := func(name, what, path string, program func(w *world, to string) []asm.Instruction) road {
		return road{
			name: name, what: what,
			setup: func(w *world) {
				w.patched()
				crosswise(func(from, to string) {
					w.filter("hv", from, ingress, w.program(ebpf.SchedCLS, program(w, to)...))
				})
				w.warm("a", "192.0.2.2")
			},
			pings: ab(path),
		}
	}
	return []road{
		{
			name: "tc-mirred-redirect", what: "tc's mirred sends frames from one port to another",
			setup: func(w *world) {
				w.patched()
				crosswise(func(from, to string) { w.mirred("hv", from, ingress, netlink.TCA_EGRESS_REDIR, to) })
				w.warm("a", "192.0.2.2")
			},
			pings: ab(redirectWay),
		},
		tc("bpf-redirect", "a tc program sends frames from one port to another, by bpf_redirect", redirectWay, func(w *world, to string) []asm.Instruction {
			return redirectTo(w.index("hv", to), asm.FnRedirect)
		}),
		tc("bpf-redirect-peer", "a tc program puts frames right into the other namespace, by bpf_redirect_peer", peerWay, func(w *world, to string) []asm.Instruction {
			return redirectTo(w.index("hv", to), asm.FnRedirectPeer)
		}),
		tc("bpf-tail-call", "a chain of three tc programs, of which the last redirects", redirectWay, func(w *world, to string) []asm.Instruction {
			p := w.program(ebpf.SchedCLS, redirectTo(w.index("hv", to), asm.FnRedirect)...)
			for range 2 {
				m := w.bpfMap(ebpf.ProgramArray, 4)
				w.must(m.Put(uint32(0), uint32(p.FD())), "program array")
				p = w.program(ebpf.SchedCLS, tailCall(m)...)
			}
			m := w.bpfMap(ebpf.ProgramArray, 4)
			w.must(m.Put(uint32(0), uint32(p.FD())), "program array")
			return tailCall(m)
		}),
		{
			name: "bpf-redirect-neigh", what: "a tc program of a router sends packets to the next hop, by bpf_redirect_neigh",
			setup: func(w *world) {
				w.routed()
				w.warm("a", "198.18.2.2")
				crosswise(func(from, to string) {
					w.filter("r", from, ingress, w.program(ebpf.SchedCLS, redirectNeigh(w.index("r", to))...))
				})
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: way(
				"[{1}] transmit eth0 | link eth0 -> v{1} [r] redirect v{1} -> v{2} | queue v{2} | link v{2} -> eth0 [{2}] deliver")}},
		},
		{
			name: "bpf-fastpath", what: "out by bpf_redirect_neigh, in by bpf_redirect_peer, as fast paths do",
			setup: func(w *world) {
				w.routed()
				w.warm("a", "198.18.2.2")
				// Only a's side is a guest: what is for it needs its own hardware address.
				w.filter("r", "va", ingress, w.program(ebpf.SchedCLS, redirectNeigh(w.index("r", "vb"))...))
				w.neighbour("b", "eth0", "198.18.2.1", w.mac("a", "eth0"))
				w.filter("r", "vb", ingress, w.program(ebpf.SchedCLS, redirectTo(w.index("r", "va"), asm.FnRedirectPeer)...))
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: want{
				request: "[a] transmit eth0 | link eth0 -> va [r] redirect va -> vb | queue vb | link vb -> eth0 [b] deliver",
				reply:   "[b] transmit eth0 | link eth0 -> vb [r] redirect vb -> eth0 [a] deliver",
			}}},
		},
		{
			name: "xdp-redirect", what: "a generic XDP program sends frames from one port to another",
			setup: func(w *world) {
				w.patched()
				crosswise(func(from, to string) {
					w.xdp("hv", from, w.program(ebpf.XDP, redirectTo(w.index("hv", to), asm.FnRedirect)...), link.XDPGenericMode)
				})
				w.warm("a", "192.0.2.2")
			},
			pings: ab(xdpWay),
		},
		{
			name: "xdp-devmap", what: "the same by a device map",
			setup: func(w *world) {
				w.patched()
				crosswise(func(from, to string) {
					m := w.bpfMap(ebpf.DevMap, 4)
					w.must(w.at("hv").Do(func() error { return m.Put(uint32(0), uint32(w.index("hv", to))) }), "device map")
					w.xdp("hv", from, w.program(ebpf.XDP, redirectByMap(m)...), link.XDPGenericMode)
				})
				w.warm("a", "192.0.2.2")
			},
			pings: ab(xdpWay),
		},
		{
			name: "xdp-cpumap", what: "a generic XDP program gives frames to another CPU, by a CPU map",
			setup: func(w *world) {
				w.bridged()
				m := w.bpfMap(ebpf.CPUMap, 4)
				w.must(m.Put(uint32(0), uint32(192)), "CPU map")
				w.xdp("hv", "va", w.program(ebpf.XDP, redirectByMap(m)...), link.XDPGenericMode)
				w.warm("a", "192.0.2.2")
			},
			pings: ab("[{1}] transmit eth0 | link eth0 -> v{1} [hv] …bridge br0 | queue v{2} | link v{2} -> eth0 [{2}] deliver"),
		},
		{
			name: "xdp-native", what: "an XDP program in the driver of veth sends frames from one port to another",
			setup: func(w *world) {
				w.patched()
				pass := func() *ebpf.Program { return w.program(ebpf.XDP, asm.Mov.Imm(asm.R0, 2), asm.Return()) }
				w.xdp("a", "eth0", pass(), link.XDPDriverMode)
				w.xdp("b", "eth0", pass(), link.XDPDriverMode)
				crosswise(func(from, to string) {
					w.xdp("hv", from, w.program(ebpf.XDP, redirectTo(w.index("hv", to), asm.FnRedirect)...), link.XDPDriverMode)
				})
				w.warm("a", "192.0.2.2")
			},
			pings: ab("[{1}] transmit eth0 | …[{2}] deliver"),
		},
	}
}
