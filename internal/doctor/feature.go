// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/privilege"
)

// checkFeature tries something that only the kernel can answer.
func checkFeature(name string, caps privilege.Set, floor event.Version, try func() error) Finding {
	if missing := caps.Missing(privilege.BPF, privilege.Perfmon); len(missing) > 0 {
		return Finding{Warn, name, "not tried without " + missing[0].String(), "run as root"}
	}
	err := try()
	var missing *bpf.UnsupportedError
	switch {
	case err == nil:
		return Finding{OK, name, "works", ""}
	case errors.As(err, &missing):
		return Finding{Fail, name, oneLine(err), remedy(missing)}
	case errors.Is(err, ebpf.ErrNotSupported):
		return Finding{Fail, name, oneLine(err), "run kernel " + floor.String() + " or later, built with CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS"}
	case errors.Is(err, fs.ErrPermission):
		return Finding{Fail, name, oneLine(err), "allow bpf(2): a container's seccomp profile, an LSM or lockdown forbids it"}
	}
	return Finding{Fail, name, oneLine(err), "report it with the output of dwell doctor --json"}
}

// checkFirewall tells whether programs can decide about rules of tenants. Without them iptables does.
func checkFirewall(caps privilege.Set, try func() error) Finding {
	const name = "firewall of tenants"
	if missing := caps.Missing(privilege.BPF, privilege.NetAdmin); len(missing) > 0 {
		return Finding{Warn, name, "not tried without " + missing[0].String(), "run as root"}
	}
	if err := try(); err != nil {
		return Finding{Warn, name, oneLine(err), "run kernel 6.1 or later if programs are to decide about rules; otherwise iptables decides alone"}
	}
	return Finding{OK, name, "possible", ""}
}

// checkFastPath tells whether tenants can have a fast path. Everything else does without.
func checkFastPath(try func() error) Finding {
	const name = "fast path of tenants"
	if err := try(); err != nil {
		return Finding{Warn, name, oneLine(err), "run kernel 6.6 or later if tenants are to have one"}
	}
	return Finding{OK, name, "possible", ""}
}

// remedy says which kernel has what is missing. The running one may be new enough and built
// without it.
func remedy(missing *bpf.UnsupportedError) string {
	text := "run kernel " + missing.Minimum.String() + " or later"
	if missing.Config != "" {
		text += ", built with " + missing.Config
	}
	return text
}

// oneLine cuts a verifier's log off an error.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
