// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// shortCut has programs that only redirect send packets from the port to the uplink and back, where a
// bridge changes nothing in them: what no fast path at these places can be faster than. It returns
// what detaches them.
func shortCut(l *lab) (remove func() error, err error) {
	var attached []link.Link
	remove = func() error {
		var errs []error
		for _, a := range attached {
			errs = append(errs, a.Close())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("programs that only redirect: %w", err), remove())
		}
	}()
	index := map[string]int{}
	err = with(l.hypervisor, func(h *netlink.Handle) error {
		for _, name := range []string{portDevice, uplinkDevice} {
			d, err := h.LinkByName(name)
			if err != nil {
				return err
			}
			index[name] = d.Attrs().Index
		}
		return nil
	})
	if err != nil {
		return remove, err
	}
	for _, way := range []struct {
		from, to string
		helper   asm.BuiltinFunc
	}{{portDevice, uplinkDevice, asm.FnRedirect}, {uplinkDevice, portDevice, asm.FnRedirectPeer}} {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(index[way.to])), asm.Mov.Imm(asm.R2, 0), way.helper.Call(), asm.Return(),
		}})
		if err != nil {
			return remove, err
		}
		err = l.hypervisor.Do(func() error {
			a, err := link.AttachTCX(link.TCXOptions{Program: prog, Attach: ebpf.AttachTCXIngress, Interface: index[way.from]})
			if err == nil {
				attached = append(attached, a)
			}
			return err
		})
		if err := errors.Join(err, prog.Close()); err != nil {
			return remove, err
		}
	}
	return remove, nil
}
