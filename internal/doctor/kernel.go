// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
)

// version is a kernel's, without the patch level.
type version struct{ major, minor int }

func (v version) less(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// floor is the first release with everything that package bpf needs; the last to
// come was the third argument of skb:kfree_skb. Distributions backport, so that
// only the checks of the features themselves fail: a release is a hint.
func floor() version { return version{5, 17} }

func parseRelease(release string) (version, error) {
	var v version
	if _, err := fmt.Sscanf(release, "%d.%d", &v.major, &v.minor); err != nil {
		return version{}, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return v, nil
}

func checkRelease(release string) Finding {
	const name = "kernel release"
	v, err := parseRelease(release)
	switch {
	case err != nil:
		return Finding{Warn, name, err.Error(), "rely on the checks below instead"}
	case v.less(floor()):
		return Finding{
			Warn, name, release + " is older than " + floor().String(),
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

// checkTracepoints looks for each hook's prototype, which the kernel keeps as a
// typedef btf_trace_<name>, and for the enum of drop reasons. Without BTF there
// is nothing to look in, and checkBTF has said so.
func checkTracepoints(spec *btf.Spec) Report {
	if spec == nil {
		return nil
	}
	var report Report
	for _, hook := range event.All().Of(event.Tracepoint) {
		f := Finding{Status: OK, Name: "tracepoint", Detail: hook.Name}
		if _, err := spec.AnyTypesByName("btf_trace_" + hook.Name); err != nil {
			f.Status, f.Detail = Fail, hook.Name+": not in this kernel"
			f.Remedy = "run a mainline or distribution kernel, " + floor().String() + " or later"
		}
		report = append(report, f)
	}
	return append(report, checkDropReasons(spec))
}

func checkDropReasons(spec *btf.Spec) Finding {
	const name = "drop reasons"
	var reasons *btf.Enum
	if err := spec.TypeByName("skb_drop_reason", &reasons); err != nil {
		return Finding{
			Fail, name, "this kernel does not say why it drops a packet",
			"run kernel " + floor().String() + " or later",
		}
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
