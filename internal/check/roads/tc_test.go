// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The two ends of a device's clsact qdisc.
const (
	ingress = uint32(netlink.HANDLE_MIN_INGRESS)
	egress  = uint32(netlink.HANDLE_MIN_EGRESS)
)

// clsact gives a device the qdisc that filters hang on, if it has none.
func (w *world) clsact(role, device string) {
	err := w.at(role).nl.QdiscAdd(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: w.index(role, device), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
		QdiscType: "clsact",
	})
	if !errors.Is(err, unix.EEXIST) {
		w.must(err, "clsact on", device)
	}
}

// mirred has everything that passes one end of a device sent to another device as well, or
// instead.
func (w *world) mirred(role, device string, at uint32, action netlink.MirredAct, to string) {
	w.clsact(role, device)
	act := netlink.NewMirredAction(w.index(role, to))
	act.MirredAction = action
	if action == netlink.TCA_EGRESS_MIRROR || action == netlink.TCA_INGRESS_MIRROR {
		act.Action = netlink.TC_ACT_PIPE
	}
	w.must(w.at(role).nl.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: w.index(role, device), Parent: at, Priority: 1, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{act},
	}), "mirred on", device)
}

// throttle lets a device send rate bytes a second, burst of them at once, and has it hold
// back no more than limit bytes.
func (w *world) throttle(role, device string, rate uint64, burst, limit uint32) {
	w.must(w.at(role).nl.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: w.index(role, device), Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
		},
		Rate: rate, Buffer: netlink.Xmittime(rate, burst), Limit: limit,
	}), "tbf on", device)
}

// program loads a BPF program that lives as long as the road.
func (w *world) program(typ ebpf.ProgramType, instructions ...asm.Instruction) *ebpf.Program {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: typ, Instructions: instructions, License: "GPL"})
	w.must(err, "BPF program")
	w.cleanups = append(w.cleanups, func() { p.Close() })
	return p
}

// bpfMap makes a map that lives as long as the road.
func (w *world) bpfMap(typ ebpf.MapType, valueSize uint32) *ebpf.Map {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: typ, KeySize: 4, ValueSize: valueSize, MaxEntries: 4})
	w.must(err, "BPF map")
	w.cleanups = append(w.cleanups, func() { m.Close() })
	return m
}

// filter runs a program on what passes one end of a device.
func (w *world) filter(role, device string, at uint32, p *ebpf.Program) {
	w.clsact(role, device)
	w.must(w.at(role).nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: w.index(role, device), Parent: at, Priority: 1, Protocol: unix.ETH_P_ALL},
		Fd:          p.FD(), Name: "road", DirectAction: true,
	}), "BPF filter on", device)
}

// xdp runs a program on what arrives on a device.
func (w *world) xdp(role, device string, p *ebpf.Program, flags link.XDPAttachFlags) {
	w.must(w.at(role).Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: w.index(role, device), Flags: flags})
		if err == nil {
			w.cleanups = append(w.cleanups, func() { l.Close() })
		}
		return err
	}), "XDP on", device)
}

// redirectTo returns a program of two arguments, the device and flags, that ends with a
// helper: bpf_redirect or bpf_redirect_peer.
func redirectTo(index int, helper asm.BuiltinFunc) []asm.Instruction {
	return []asm.Instruction{
		asm.Mov.Imm(asm.R1, int32(index)), asm.Mov.Imm(asm.R2, 0), helper.Call(), asm.Return(),
	}
}

// redirectNeigh returns a program that sends IPv4 packets on to their next hop by
// bpf_redirect_neigh and leaves others to the stack.
func redirectNeigh(index int) []asm.Instruction {
	const protocol = 16 // offset in struct __sk_buff
	return []asm.Instruction{
		asm.LoadMem(asm.R3, asm.R1, protocol, asm.Word),
		asm.Mov.Imm(asm.R0, 0), // TC_ACT_OK
		asm.JNE.Imm(asm.R3, int32(htons(unix.ETH_P_IP)), "end"),
		asm.Mov.Imm(asm.R1, int32(index)), asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, 0), asm.Mov.Imm(asm.R4, 0),
		asm.FnRedirectNeigh.Call(),
		asm.Return().WithSymbol("end"),
	}
}

// redirectByMap returns an XDP program that sends everything where entry 0 of a map says.
func redirectByMap(m *ebpf.Map) []asm.Instruction {
	return []asm.Instruction{
		asm.LoadMapPtr(asm.R1, m.FD()), asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, 0),
		asm.FnRedirectMap.Call(), asm.Return(),
	}
}

// tailCall returns a program that continues with entry 0 of a map of programs.
func tailCall(m *ebpf.Map) []asm.Instruction {
	return []asm.Instruction{
		asm.LoadMapPtr(asm.R2, m.FD()), asm.Mov.Imm(asm.R3, 0), asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 2), asm.Return(), // TC_ACT_SHOT
	}
}
