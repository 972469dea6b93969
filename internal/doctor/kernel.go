// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
)

func checkRelease(release string, floor event.Version) Finding {
	const name = "kernel release"
	v, err := event.ParseVersion(release)
	switch {
	case err != nil:
		return Finding{Warn, name, err.Error(), "rely on the checks below instead"}
	case v.Less(floor):
		return Finding{
			Warn, name, release + " is older than " + floor.String(),
			"run a later kernel unless the checks below are ok",
		}
	}
	return Finding{OK, name, release, ""}
}

func checkBTF(spec *btf.Spec, err error) Finding {
	const name = "kernel BTF"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{Fail, name, "no /sys/kernel/btf/vmlinux", "run a kernel built with CONFIG_DEBUG_INFO_BTF=y"}
	case err != nil:
		return Finding{Fail, name, err.Error(), "make /sys/kernel/btf/vmlinux readable (mount /sys)"}
	case spec == nil:
		return Finding{Fail, name, "empty", "run a kernel built with CONFIG_DEBUG_INFO_BTF=y"}
	}
	return Finding{OK, name, "/sys/kernel/btf/vmlinux", ""}
}

// checkTracepoints looks for each hook's tracepoint and for the enum of drop reasons.
// Without BTF there is nothing to look in, and checkBTF has said so.
func checkTracepoints(spec *btf.Spec, hooks *event.Hooks) Report {
	if spec == nil {
		return nil
	}
	var report Report
	for _, hook := range hooks.Of(event.Tracepoint) {
		report = append(report, checkTracepoint(spec, hook, hooks.Since(event.Tracepoint)))
	}
	return append(report, checkDropReasons(spec, hooks.Info(event.KfreeSKB).Since))
}

// checkTracepoint looks for a tracepoint as it is needed. A kernel that has all that is
// needed is of the version floor or later.
func checkTracepoint(spec *btf.Spec, hook event.HookInfo, floor event.Version) Finding {
	const name = "tracepoint"
	err := bpf.CheckTracepoint(spec, hook)
	var missing *bpf.UnsupportedError
	switch {
	case errors.As(err, &missing):
		return Finding{
			Fail, name, strings.TrimPrefix(missing.Feature, name+" ") + ": not in this kernel",
			"run a mainline or distribution kernel, " + floor.String() + " or later",
		}
	case err != nil:
		return Finding{Fail, name, oneLine(err), "report it with the output of dwell doctor --json"}
	}
	return Finding{OK, name, hook.Name, ""}
}

func checkDropReasons(spec *btf.Spec, since event.Version) Finding {
	const name = "drop reasons"
	var reasons *btf.Enum
	if err := spec.TypeByName("skb_drop_reason", &reasons); err != nil {
		return Finding{Fail, name, "this kernel does not say why it drops a packet", "run kernel " + since.String() + " or later"}
	}
	return Finding{OK, name, fmt.Sprintf("%d known", len(reasons.Values)), ""}
}

func checkJIT(root fs.FS) Finding {
	const name = "BPF JIT"
	text, err := fs.ReadFile(root, "proc/sys/net/core/bpf_jit_enable")
	if err != nil {
		return Finding{Warn, name, "not known: " + err.Error(), "run it in the host's own network namespace"}
	}
	if strings.TrimSpace(string(text)) == "0" {
		return Finding{Warn, name, "off: tracing costs several times more", "sysctl -w net.core.bpf_jit_enable=1"}
	}
	return Finding{OK, name, "on", ""}
}
