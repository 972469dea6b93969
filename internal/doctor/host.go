// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/datapath"
)

// Host returns the machine that this process runs on. load should load and attach
// dwell's programs and take them away again.
func Host(load func() error) (System, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return System{}, fmt.Errorf("uname: %w", err)
	}
	return System{
		Root:       os.DirFS("/"),
		Release:    unix.ByteSliceToString(name.Release[:]),
		Tracing:    loadNothing,
		RingBuffer: func() error { return features.HaveMapType(ebpf.RingBuf) },
		Load:       load,
		Firewall:   datapath.Supported,
		FastPath:   bypass.Supported,
		Hooks:      event.All(),
	}, nil
}

// loadNothing loads a program for a BTF tracepoint that returns at once. The
// library's own probe for tracing programs tries fentry, which may be forbidden
// where tracepoints are allowed.
func loadNothing() error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.Tracing,
		AttachType:   ebpf.AttachTraceRawTp,
		AttachTo:     event.NetifRx.String(),
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		License:      "Dual MIT/GPL",
	})
	if err != nil {
		return err
	}
	return prog.Close()
}
