// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// hooked lists the programs of BPF at netfilter's hooks, of all namespaces. What the kernel says about such
// a link leaves its namespace out, so an iterator over links reads it in the kernel's memory. If it is nil,
// the kernel knows no such programs.
type hooked struct {
	program *ebpf.Program
	iter    *link.Iter
}

// hookedProgram is what the iterator writes about one link.
type hookedProgram struct {
	// NetNS is the inode number of its namespace, ID the program's.
	NetNS, ID uint32
	Priority  int32
	_         uint32
	Name      [16]byte
}

func (p *hookedProgram) name() string { return string(bytes.TrimRight(p.Name[:], "\x00")) }

// offsets are where the kernel keeps what is read, in bytes.
type offsets struct {
	linkType, linkProgram  int32 // of struct bpf_link
	net, priority          int32 // of struct bpf_nf_link, which begins with a bpf_link
	inode                  int32 // of struct net
	programAux             int32 // of struct bpf_prog
	programID, programName int32 // of struct bpf_prog_aux
}

// linkAtHook is the kernel's structure of a link to a hook of netfilter.
const linkAtHook = "bpf_nf_link"

// openHooked loads the iterator.
func openHooked() (*hooked, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, err
	}
	if _, err := kernel.AnyTypeByName(linkAtHook); errors.Is(err, btf.ErrNotFound) {
		return &hooked{}, nil // before Linux 6.4, or without CONFIG_NETFILTER_BPF_LINK
	}
	at, err := readOffsets(kernel)
	if err != nil {
		return nil, err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "dwell_hooked", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "bpf_link",
		License: "GPL", Instructions: at.instructions(),
	})
	if err != nil {
		return nil, fmt.Errorf("loading the program that lists links: %w", err)
	}
	iter, err := link.AttachIter(link.IterOptions{Program: p})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attaching the program that lists links: %w", err), p.Close())
	}
	return &hooked{p, iter}, nil
}

func (h *hooked) close() {
	if h.iter != nil {
		_ = h.iter.Close()
		_ = h.program.Close()
	}
}

// read returns those that there are now.
func (h *hooked) read() ([]hookedProgram, error) {
	if h.iter == nil {
		return nil, nil
	}
	r, err := h.iter.Open()
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	found := make([]hookedProgram, len(b)/binary.Size(hookedProgram{}))
	if _, err := binary.Decode(b, binary.NativeEndian, found); err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	return found, nil
}

// readOffsets asks the kernel's BTF.
func readOffsets(kernel *btf.Spec) (at *offsets, err error) {
	at = &offsets{}
	var hooks, priority, ns, inum int32
	for _, f := range []struct {
		of, member string
		into       *int32
	}{
		{linkAtHook, "net", &at.net},
		{linkAtHook, "hook_ops", &hooks},
		{"nf_hook_ops", "priority", &priority},
		{"bpf_link", "type", &at.linkType},
		{"bpf_link", "prog", &at.linkProgram},
		{"net", "ns", &ns},
		{"ns_common", "inum", &inum},
		{"bpf_prog", "aux", &at.programAux},
		{"bpf_prog_aux", "id", &at.programID},
		{"bpf_prog_aux", "name", &at.programName},
	} {
		if *f.into, err = offsetOf(kernel, f.of, f.member); err != nil {
			return nil, err
		}
	}
	at.priority, at.inode = hooks+priority, ns+inum
	return at, nil
}

// offsetOf returns where a structure has a member.
func offsetOf(kernel *btf.Spec, name, member string) (int32, error) {
	var s *btf.Struct
	if err := kernel.TypeByName(name, &s); err != nil {
		return 0, fmt.Errorf("struct %s of the kernel: %w", name, err)
	}
	for _, m := range s.Members {
		if m.Name == member {
			return int32(m.Offset.Bytes()), nil
		}
	}
	return 0, fmt.Errorf("struct %s of the kernel has no %s", name, member)
}

// instructions are those of the iterator: it writes a hookedProgram for each link to a hook of netfilter.
func (o *offsets) instructions() asm.Instructions {
	const (
		meta, ofLink, seq = 0, 8, 0 // of struct bpf_iter__bpf_link, and struct bpf_iter_meta
		linkTypeNetfilter = 10      // BPF_LINK_TYPE_NETFILTER

		size  = 32
		entry = -size     // of the stack: hookedProgram
		found = entry - 8 // a pointer
		end   = "end"
		name  = entry + 16 // in hookedProgram
	)
	read := func(to, n int32, from asm.Register, offset int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R3, from), asm.Add.Imm(asm.R3, offset),
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, to), asm.Mov.Imm(asm.R2, n),
			asm.FnProbeReadKernel.Call(),
		}
	}
	code := asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, ofLink, asm.DWord),
		asm.JEq.Imm(asm.R6, 0, end),
		asm.LoadMem(asm.R7, asm.R1, meta, asm.DWord),
		asm.LoadMem(asm.R7, asm.R7, seq, asm.DWord),
		asm.LoadMem(asm.R1, asm.R6, int16(o.linkType), asm.Word),
		asm.JNE.Imm(asm.R1, linkTypeNetfilter, end),
		asm.LoadMem(asm.R8, asm.R6, int16(o.linkProgram), asm.DWord),
		asm.LoadMem(asm.R8, asm.R8, int16(o.programAux), asm.DWord),
		asm.StoreImm(asm.RFP, entry+12, 0, asm.Word),
	}
	code = append(code, read(found, 8, asm.R6, o.net)...)
	code = append(code, asm.LoadMem(asm.R9, asm.RFP, found, asm.DWord))
	code = append(code, read(entry, 4, asm.R9, o.inode)...)
	code = append(code, read(entry+4, 4, asm.R8, o.programID)...)
	code = append(code, read(entry+8, 4, asm.R6, o.priority)...)
	code = append(code, read(name, 16, asm.R8, o.programName)...)
	return append(code,
		asm.Mov.Reg(asm.R1, asm.R7), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, entry), asm.Mov.Imm(asm.R3, size),
		asm.FnSeqWrite.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(end), asm.Return(),
	)
}
