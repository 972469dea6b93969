// SPDX-License-Identifier: Apache-2.0

// Package doctor finds out what this kernel and these privileges allow, before
// the verifier or a permission error says it less kindly.
//
// Each check is a function of a [System], which is what is known of the machine:
// so that the advice for a machine without BTF is tested on one that has it.
package doctor

import (
	"bytes"
	"io/fs"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/privilege"
)

// Status says how a check ended.
type Status string

// The statuses. A machine with a Fail cannot trace; with a Warn it can do less.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "FAIL"
)

// Finding is the result of one check.
type Finding struct {
	Status Status `json:"status"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
	// Remedy says what to do; it is empty if Status is OK.
	Remedy string `json:"remedy,omitempty"`
}

// Report holds the findings in the order in which they should be fixed.
type Report []Finding

// Fit reports whether nothing failed.
func (r Report) Fit() bool { return r.Count(Fail) == 0 }

// Count returns how many checks ended so.
func (r Report) Count(s Status) int {
	n := 0
	for _, f := range r {
		if f.Status == s {
			n++
		}
	}
	return n
}

// System is what the checks may know of the machine.
type System struct {
	// Root holds proc, sys and run as seen by this process.
	Root fs.FS
	// Release is the kernel's, as uname -r prints it.
	Release string
	// Tracing and RingBuffer return nil if the kernel has BPF tracing programs and
	// ring buffers.
	Tracing, RingBuffer func() error
	// Load loads and attaches dwell's own programs and takes them away again.
	Load func() error
	// Firewall returns nil if the kernel takes the programs of tenants' firewalls.
	Firewall func() error
	// FastPath returns nil if the kernel can have the fast path of tenants.
	FastPath func() error
	// Hooks are those that dwell's own programs are attached to.
	Hooks *event.Hooks
}

// floor is the first release with everything that tracing needs: the last to come was
// something about a tracepoint. Distributions backport, so that only the checks of the
// features themselves fail: a release is a hint.
func (s *System) floor() event.Version { return s.Hooks.Since(event.Tracepoint) }

// Examine runs all checks.
func Examine(sys System) Report {
	caps, capErr := effective(sys.Root)
	spec, btfErr := kernelBTF(sys.Root)
	return slices.Concat(
		checkCapabilities(caps, capErr),
		Report{
			checkUserNamespace(sys.Root),
			checkRelease(sys.Release, sys.floor()),
			checkLockdown(sys.Root),
			checkBTF(spec, btfErr),
		},
		checkTracepoints(spec, sys.Hooks),
		Report{
			checkFeature("BPF tracing programs", caps, sys.floor(), sys.Tracing),
			checkFeature("BPF ring buffer", caps, sys.floor(), sys.RingBuffer),
			checkJIT(sys.Root),
			checkNetNS(sys.Root),
			checkFeature("load and attach", caps, sys.floor(), sys.Load),
			checkFirewall(caps, sys.Firewall),
			checkFastPath(sys.FastPath),
		},
	)
}

func effective(root fs.FS) (privilege.Set, error) {
	f, err := root.Open("proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return privilege.ParseStatus(f)
}

func kernelBTF(root fs.FS) (*btf.Spec, error) {
	raw, err := fs.ReadFile(root, "sys/kernel/btf/vmlinux")
	if err != nil {
		return nil, err
	}
	return btf.LoadSpecFromReader(bytes.NewReader(raw))
}
