// SPDX-License-Identifier: Apache-2.0

// Package privilegetest decides which tests need more than an ordinary user has,
// and is the only place from which they skip.
//
// As root on a fit kernel nothing skips; .ci/verdict fails the run if it does.
package privilegetest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// vmlinux is the kernel's own type information, which each tp_btf program needs.
const vmlinux = "/sys/kernel/btf/vmlinux"

// NetNS skips the test unless it may make network namespaces and what is in them.
func NetNS(tb testing.TB) {
	tb.Helper()
	need(tb, privilege.SysAdmin, privilege.NetAdmin, privilege.NetRaw)
}

// BPF skips the test unless it may load and attach BPF tracing programs, and make
// network namespaces to try them in.
func BPF(tb testing.TB) {
	tb.Helper()
	need(tb, privilege.BPF, privilege.Perfmon, privilege.SysAdmin, privilege.NetAdmin, privilege.NetRaw)
	if _, err := os.Stat(vmlinux); err != nil {
		tb.Skipf("needs a kernel built with CONFIG_DEBUG_INFO_BTF: %v", err)
	}
}

// TooOld is the attribute that a test has which skips because the kernel is too old for it
// (testing.T.Attr), so that whoever reads the results can tell it from other skips. Its
// value is the kernel's release.
const TooOld = "kernel-too-old"

// Kernel goes on if err is nil, and otherwise ends the test. It skips it if err says that
// what is missing came with a newer kernel than the running one. If the running kernel is
// new enough, it should have it, and the test fails, as it does for any other error.
func Kernel(tb testing.TB, err error) {
	tb.Helper()
	if err == nil {
		return
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		tb.Fatal(err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	// Of package bpf's errors; this one knows only what they can be asked.
	var missing interface {
		error
		NeedsNewer(release string) bool
	}
	if errors.As(err, &missing) && missing.NeedsNewer(release) {
		tb.Attr(TooOld, release)
		tb.Skipf("on Linux %s: %v", release, err)
	}
	tb.Fatalf("on Linux %s: %v", release, err)
}

func need(tb testing.TB, want ...privilege.Capability) {
	tb.Helper()
	have, err := privilege.Effective()
	if err != nil {
		tb.Fatal(err)
	}
	if missing := have.Missing(want...); len(missing) > 0 {
		tb.Skipf("needs %v: run the tests as root", missing)
	}
}
