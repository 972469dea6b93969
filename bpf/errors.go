// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
)

// The reasons for which a kernel or its settings do not allow tracing. The errors
// returned say what to do; these are for errors.Is.
var (
	// ErrNoBTF: the kernel does not describe its types.
	ErrNoBTF = errors.New("no BTF for the running kernel")
	// ErrPermission: a capability is missing, or lockdown forbids it.
	ErrPermission = errors.New("not permitted to trace")
	// ErrTracepoint: the kernel does not have a tracepoint as it is needed.
	ErrTracepoint = errors.New("tracepoint missing")
	// ErrVerifier: the kernel's verifier refused a program.
	ErrVerifier = errors.New("program rejected by the kernel")
	// ErrNetfilter: the kernel has no netfilter programs. All else works without.
	ErrNetfilter = errors.New("netfilter programs not supported")
	// ErrClosed: the Tracer was closed.
	ErrClosed = errors.New("tracer closed")
)

// explain turns an error of the kernel into one that says what to do.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	var errno syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &verifier):
		return fmt.Errorf("%w: please report it with the kernel version: %w", ErrVerifier, err)
	case errors.Is(err, os.ErrPermission) && errors.As(err, &errno):
		return fmt.Errorf("%w (%w): run as root or grant CAP_BPF and CAP_PERFMON; "+
			"kernel lockdown must not be at confidentiality", ErrPermission, errno)
	}
	return err
}

// explainMemory adds what to do to an error of loading if there was no memory: the ring buffers take nearly
// all of it.
func explainMemory(err error, rings *ebpf.MapSpec) error {
	if !errors.Is(err, syscall.ENOMEM) {
		return err
	}
	mib := uint64(rings.MaxEntries) * uint64(rings.ValueSize-ringHeader-ringGuard) >> 20
	return fmt.Errorf("no memory for ring buffers of %d MiB together: make them smaller: %w", mib, err)
}

// explainNetfilter is explain for what needs a privilege more.
func explainNetfilter(err error) error {
	var verifier *ebpf.VerifierError
	var errno syscall.Errno
	if errors.Is(err, os.ErrPermission) && errors.As(err, &errno) && !errors.As(err, &verifier) {
		return fmt.Errorf("%w (%w): grant CAP_NET_ADMIN in addition to CAP_BPF and CAP_PERFMON", ErrPermission, errno)
	}
	return explain(err)
}
