// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// What each capability is for. Without the vital ones nothing can be traced.
func uses() []use {
	return []use{
		{privilege.BPF, true, "loading BPF programs"},
		{privilege.Perfmon, true, "attaching them to tracepoints"},
		{privilege.SysAdmin, false, "device names in other network namespaces, lab, demo"},
		{privilege.SysPtrace, false, "finding the namespaces of other users' processes"},
		{privilege.NetAdmin, false, "timing the netfilter chains, lab, demo"},
		{privilege.NetRaw, false, "sending pings: demo"},
	}
}

type use struct {
	privilege.Capability
	vital   bool
	purpose string
}

func checkCapabilities(caps privilege.Set, err error) Report {
	if err != nil {
		return Report{{Fail, "capabilities", err.Error(), "mount /proc"}}
	}
	var report Report
	for _, u := range uses() {
		f := Finding{Status: OK, Name: u.String(), Detail: u.purpose}
		if !caps.Has(u.Capability) {
			f.Status = Warn
			if u.vital {
				f.Status = Fail
			}
			f.Detail = "missing, needed for " + u.purpose
			f.Remedy = "run as root or grant " + u.String()
		}
		report = append(report, f)
	}
	return report
}

// checkUserNamespace detects when capabilities are worth nothing: the kernel requires
// CAP_BPF in the initial user namespace. Its uid_map is the identity over all 2³²-1 IDs
// (user_namespaces(7)).
func checkUserNamespace(root fs.FS) Finding {
	const name = "user namespace"
	text, err := fs.ReadFile(root, "proc/self/uid_map")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{OK, name, "the kernel has only the initial one", ""}
	case err != nil:
		return Finding{Warn, name, err.Error(), "make /proc/self/uid_map readable"}
	case strings.Join(strings.Fields(string(text)), " ") != "0 0 4294967295":
		return Finding{
			Fail, name, "not the initial one: its capabilities do not cover BPF",
			"run outside of a rootless container",
		}
	}
	return Finding{OK, name, "the initial one", ""}
}

// checkLockdown reads the state that lockdown(7) chose, which is in brackets: "none
// [integrity] confidentiality". The last forbids BPF to read kernel memory.
func checkLockdown(root fs.FS) Finding {
	const name = "kernel lockdown"
	text, err := fs.ReadFile(root, "sys/kernel/security/lockdown")
	if err != nil {
		return Finding{OK, name, "not in use here", ""}
	}
	_, mode, _ := strings.Cut(string(text), "[")
	mode, _, _ = strings.Cut(mode, "]")
	if mode == "confidentiality" {
		return Finding{Fail, name, mode + " forbids BPF to read packets", "boot with lockdown=integrity"}
	}
	return Finding{OK, name, mode, ""}
}

// checkNetNS looks where ip-netns(8) keeps the names of namespaces.
func checkNetNS(root fs.FS) Finding {
	const name = "namespace names"
	_, err := fs.ReadDir(root, "run/netns")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{OK, name, "/run/netns does not exist yet", ""}
	case err != nil:
		return Finding{Warn, name, err.Error(), "make /run/netns readable, or namespaces show as netns-<inode>"}
	}
	return Finding{OK, name, "/run/netns is readable", ""}
}
