// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/correlate/event"
)

// idled floods while programs that do nothing are attached to the tracepoints that dwell uses. No tracer
// that is attached there can cost less.
func (b *bench) idled(ctx context.Context) (s sample, err error) {
	for _, hook := range event.All().Of(event.Tracepoint) {
		detach, attachErr := attachEmpty(hook.Name)
		if attachErr != nil {
			return sample{}, fmt.Errorf("attach a program that does nothing to %s: %w", hook.Name, attachErr)
		}
		defer func() { err = errors.Join(err, detach()) }()
	}
	return b.unwatched(ctx)
}

// attachEmpty attaches a program as dwell's are attached: tp_btf.
func attachEmpty(tracepoint string) (detach func() error, err error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tracepoint, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, err
	}
	attached, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		return nil, errors.Join(err, program.Close())
	}
	return func() error { return errors.Join(attached.Close(), program.Close()) }, nil
}
