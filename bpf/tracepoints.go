// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
)

// kernelBTF returns the types of the running kernel.
func kernelBTF() (*btf.Spec, error) {
	spec, err := btf.LoadKernelSpec()
	if err == nil {
		return spec, nil
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, explain(err)
	}
	return nil, fmt.Errorf("%w: /sys/kernel/btf/vmlinux is needed; mount sysfs at /sys or use a kernel built with CONFIG_DEBUG_INFO_BTF=y: %w",
		ErrNoBTF, err)
}

// checkNetfilter finds out whether the kernel has netfilter programs.
func checkNetfilter(kernel *btf.Spec) error {
	var context *btf.Struct
	if err := kernel.TypeByName("bpf_nf_ctx", &context); err != nil {
		return fmt.Errorf("%w: Linux 6.4 or later is needed, built with CONFIG_NETFILTER_BPF_LINK=y: %w", ErrNetfilter, err)
	}
	return nil
}

// checkTracepoints finds out what the kernel lacks before its verifier says so in
// its own words.
func checkTracepoints(kernel *btf.Spec, hooks []event.HookInfo) error {
	var errs []error
	for _, hook := range hooks {
		errs = append(errs, checkTracepoint(kernel, hook))
	}
	return errors.Join(errs...)
}

func checkTracepoint(kernel *btf.Spec, hook event.HookInfo) error {
	name := hook.Name
	var def *btf.Typedef
	if err := kernel.TypeByName("btf_trace_"+name, &def); err != nil {
		return fmt.Errorf("%w: %s: use a kernel built with CONFIG_NET and CONFIG_TRACEPOINTS: %w", ErrTracepoint, name, err)
	}
	ptr, ok := def.Type.(*btf.Pointer)
	if !ok {
		return fmt.Errorf("%w: %s: its BTF is not a pointer to a function", ErrTracepoint, name)
	}
	proto, ok := ptr.Target.(*btf.FuncProto)
	if !ok {
		return fmt.Errorf("%w: %s: its BTF is not a pointer to a function", ErrTracepoint, name)
	}
	// The first parameter is the tracepoint's private data.
	if len(proto.Params)-1 < int(hook.Arguments) {
		return fmt.Errorf("%w: %s has %d arguments instead of %d: Linux %s or later is needed",
			ErrTracepoint, name, len(proto.Params)-1, hook.Arguments, hook.Since)
	}
	return nil
}
