// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// missingKfuncs returns the kernel functions that the programs may call and the kernel does not
// have. The programs declare them weak, and look whether they are there.
func missingKfuncs(spec *ebpf.CollectionSpec, kernel *btf.Spec) (map[string]bool, error) {
	var symbols *btf.Datasec
	err := spec.Types.TypeByName(".ksyms", &symbols)
	if errors.Is(err, btf.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kernel functions: %w", err)
	}
	missing := map[string]bool{}
	for _, v := range symbols.Vars {
		fn, isFunc := v.Type.(*btf.Func)
		if !isFunc {
			continue
		}
		var found *btf.Func
		err := kernel.TypeByName(fn.Name, &found)
		if err != nil && !errors.Is(err, btf.ErrNotFound) {
			return nil, fmt.Errorf("kernel function %s: %w", fn.Name, err)
		}
		missing[fn.Name] = err != nil
	}
	return missing, nil
}

// dropMissingKfuncs tells the programs which kernel functions are not there: their addresses are 0,
// and what is then never reached calls nothing. The library does the same, but goes through all
// modules and all loaded programs for each mention of one, which is half of the time that it takes to
// load the programs before Linux 6.2. All that we call are the kernel's own, and no module's.
func dropMissingKfuncs(spec *ebpf.CollectionSpec, kernel *btf.Spec) error {
	missing, err := missingKfuncs(spec, kernel)
	if err != nil {
		return err
	}
	for _, program := range spec.Programs {
		for i := range program.Instructions {
			ins := &program.Instructions[i]
			switch name := ins.Reference(); {
			case !missing[name]:
			case ins.IsKfuncCall():
				*ins = plain(ins, asm.FnUnspec.Call())
			case ins.OpCode.IsDWordLoad():
				*ins = plain(ins, asm.LoadImm(ins.Dst, 0, asm.DWord))
			}
		}
	}
	return nil
}

// plain returns an instruction in the place of another, whose reference it does not have.
func plain(old *asm.Instruction, ins asm.Instruction) asm.Instruction {
	ins = ins.WithSymbol(old.Symbol()).WithSource(old.Source())
	if fn := btf.FuncMetadata(old); fn != nil {
		ins = btf.WithFuncMetadata(ins, fn)
	}
	return ins
}
