// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"runtime"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// withCapabilities runs f on a thread that has no other capabilities. The thread
// is not used again.
func withCapabilities(t *testing.T, f func() error, caps ...uint) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := keepCapabilities(caps...); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// keepCapabilities takes all other capabilities from this thread.
func keepCapabilities(caps ...uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for _, c := range caps {
		data[c/32].Permitted |= 1 << (c % 32)
		data[c/32].Effective |= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}

// useAll does what needs privileges.
func useAll() error {
	tracer, err := Load(Options{})
	if err != nil {
		return err
	}
	err = tracer.Attach()
	if err == nil {
		err = tracer.SetFilter(Filter{Interfaces: []string{"lo"}, NetNS: []uint32{1}})
	}
	if err == nil {
		_, err = tracer.Stats()
	}
	return errors.Join(err, tracer.Close())
}

func TestCapabilities(t *testing.T) {
	privileged(t)
	if err := withCapabilities(t, useAll, unix.CAP_BPF, unix.CAP_PERFMON); err != nil {
		t.Errorf("with CAP_BPF and CAP_PERFMON: %v", err)
	}
	for _, tt := range []struct {
		name string
		caps []uint
	}{
		{"none", nil},
		{"CAP_BPF", []uint{unix.CAP_BPF}},
		{"CAP_PERFMON", []uint{unix.CAP_PERFMON}},
		{"CAP_NET_ADMIN", []uint{unix.CAP_NET_ADMIN}},
	} {
		err := withCapabilities(t, useAll, tt.caps...)
		if !errors.Is(err, ErrPermission) {
			t.Errorf("with %s: %v", tt.name, err)
		}
		t.Logf("with %s: %v", tt.name, err)
	}
}

// TestNetfilterCapabilities attaches in a namespace that the thread is in already:
// entering it would need CAP_SYS_ADMIN.
func TestNetfilterCapabilities(t *testing.T) {
	privileged(t)
	n := newNamespace(t, "n")
	attach := func(caps ...uint) (err error) {
		tracer, err := Load(Options{RingBytes: 1})
		if err != nil {
			return err
		}
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // for good
			if err := errors.Join(netns.Set(n.ns), keepCapabilities(caps...)); err != nil {
				done <- err
				return
			}
			done <- tracer.AttachNetfilter(func(f func() error) error { return f() })
		}()
		return errors.Join(<-done, tracer.Close())
	}
	privilegetest.Kernel(t, attach(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN))
	err := attach(unix.CAP_BPF, unix.CAP_PERFMON)
	if !errors.Is(err, ErrPermission) {
		t.Errorf("with CAP_BPF and CAP_PERFMON: %v", err)
	}
	t.Logf("with CAP_BPF and CAP_PERFMON: %v", err)
}
