// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// filterProgram accepts echo replies with the identifier, and errors about requests with it. An
// IPv4 raw socket's filter sees the packet from the IP header on, an IPv6 one's from the ICMPv6
// header. Where something is not there because the packet is too short, it is dropped.
func filterProgram(protocol int, id uint16) []bpf.Instruction {
	program := filterIPv4(uint32(id))
	if protocol == protocolICMPv6 {
		program = filterIPv6(uint32(id))
	}
	program = append(program, bpf.RetConstant{Val: keep}, bpf.RetConstant{Val: 0})
	for i, in := range program {
		if jump, ok := in.(bpf.JumpIf); ok && jump.SkipTrue == drop {
			jump.SkipTrue = uint8(len(program) - i - 2)
			program[i] = jump
		}
	}
	return program
}

const (
	// keep is how much of a packet is kept: all.
	keep = 0x40000
	// drop stands for a jump to the last instruction, which drops the packet.
	drop = 255
)

// typeOf returns the number of a type.
func typeOf(t icmp.Type) int {
	switch t := t.(type) {
	case ipv4.ICMPType:
		return int(t)
	case ipv6.ICMPType:
		return int(t)
	}
	return -1
}

// load reads from so many bytes after register X, which is where a header begins.
func load(off uint32, size int) bpf.Instruction { return bpf.LoadIndirect{Off: off, Size: size} }

// only drops a packet of which something else was read.
func only(value uint32) bpf.Instruction {
	return bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: drop}
}

func filterIPv4(id uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadMemShift{Off: 0},
		load(0, 1),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ipv4.ICMPTypeEchoReply), SkipTrue: 3},
		load(echoID, 2),
		only(id),
		bpf.RetConstant{Val: keep},
		// An error about an ICMP packet?
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ipv4.ICMPTypeDestinationUnreachable), SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ipv4.ICMPTypeTimeExceeded), SkipTrue: 1},
		only(uint32(ipv4.ICMPTypeParameterProblem)),
		load(icmpHeader+9, 1),
		only(protocolICMP),
		// X becomes that of its ICMP header, less the length of the error's own.
		load(icmpHeader, 1),
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		load(icmpHeader, 1),
		only(uint32(ipv4.ICMPTypeEcho)),
		load(icmpHeader+echoID, 2),
		only(id),
	}
}

func filterIPv6(id uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadConstant{Dst: bpf.RegX, Val: 0},
		load(0, 1),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ipv6.ICMPTypeEchoReply), SkipTrue: 3},
		load(echoID, 2),
		only(id),
		bpf.RetConstant{Val: keep},
		// An error about an ICMPv6 packet, or a fragment of one?
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: uint32(ipv6.ICMPTypeDestinationUnreachable), SkipTrue: drop},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(ipv6.ICMPTypeParameterProblem), SkipTrue: drop},
		load(icmpHeader+6, 1),
		bpf.LoadConstant{Dst: bpf.RegX, Val: ipv6Header},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protocolICMPv6, SkipTrue: 4},
		only(nextFragment),
		bpf.LoadAbsolute{Off: icmpHeader + ipv6Header, Size: 1},
		only(protocolICMPv6),
		bpf.LoadConstant{Dst: bpf.RegX, Val: ipv6Header + fragHeader},
		load(icmpHeader, 1),
		only(uint32(ipv6.ICMPTypeEchoRequest)),
		load(icmpHeader+echoID, 2),
		only(id),
	}
}
