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
func kernelBTF(types *btf.Cache) (*btf.Spec, error) {
	spec, err := types.Kernel()
	if err == nil {
		return spec, nil
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, explain(err)
	}
	return nil, fmt.Errorf("%w: /sys/kernel/btf/vmlinux is needed; mount sysfs at /sys or use a kernel built with CONFIG_DEBUG_INFO_BTF=y: %w",
		ErrNoBTF, err)
}

// checkNetfilter finds out whether the kernel has netfilter programs, which hooks need.
func checkNetfilter(kernel *btf.Spec, hooks *event.Hooks) error {
	var context *btf.Struct
	err := kernel.TypeByName("bpf_nf_ctx", &context)
	if errors.Is(err, btf.ErrNotFound) {
		return &UnsupportedError{
			Feature: "netfilter programs", Minimum: hooks.Since(event.NetfilterProgram),
			Config: "CONFIG_NETFILTER_BPF_LINK=y", Err: ErrNetfilter,
		}
	}
	return err
}

// checkTracepoints finds out what the kernel lacks before its verifier says so in
// its own words.
func checkTracepoints(kernel *btf.Spec, hooks []event.HookInfo) error {
	var errs []error
	for _, hook := range hooks {
		errs = append(errs, CheckTracepoint(kernel, hook))
	}
	return errors.Join(errs...)
}

// CheckTracepoint finds out from a kernel's types whether it has a tracepoint as it is
// needed. If it does not, the error is an *UnsupportedError and ErrTracepoint.
func CheckTracepoint(kernel *btf.Spec, hook event.HookInfo) error {
	missing := &UnsupportedError{
		Feature: "tracepoint " + hook.Name, Minimum: hook.Since,
		Config: "CONFIG_NET and CONFIG_TRACEPOINTS", Err: ErrTracepoint,
	}
	var def *btf.Typedef
	err := kernel.TypeByName("btf_trace_"+hook.Name, &def)
	if errors.Is(err, btf.ErrNotFound) {
		return missing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", missing.Feature, err)
	}
	arguments, err := argumentsOf(def)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrTracepoint, hook, err)
	}
	if arguments < int(hook.Arguments) {
		missing.Feature += fmt.Sprintf(" with %d arguments", hook.Arguments)
		missing.Config = ""
		return missing
	}
	return nil
}

// argumentsOf counts the arguments of a tracepoint: its type is a pointer to a function
// whose first parameter is the tracepoint's private data.
func argumentsOf(def *btf.Typedef) (int, error) {
	if ptr, ok := def.Type.(*btf.Pointer); ok {
		if proto, ok := ptr.Target.(*btf.FuncProto); ok {
			return len(proto.Params) - 1, nil
		}
	}
	return 0, errors.New("its BTF is not a pointer to a function")
}
