// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// maxVerified is how many instructions the verifier may walk through in one program. Its own
// limit is a million; what counts is that a small change of the code does not get near that
// on any kernel.
const maxVerified = 200_000

// TestVerifierInstructions loads each program and says how many instructions the verifier of
// the running kernel walked through; with -v, of all.
func TestVerifierInstructions(t *testing.T) {
	privileged(t)
	spec, err := Options{RingBytes: 1}.spec()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		t.Run(name, func(t *testing.T) { verify(t, spec, name) })
	}
}

// verify loads one program.
func verify(t *testing.T, spec *ebpf.CollectionSpec, name string) {
	if spec.Programs[name].Type == ebpf.Netfilter {
		kernel, err := kernelBTF(kernelTypes)
		if err != nil {
			t.Fatal(err)
		}
		privilegetest.Kernel(t, checkNetfilter(kernel, event.All()))
	}
	one := spec.Copy()
	maps.DeleteFunc(one.Programs, func(other string, _ *ebpf.ProgramSpec) bool { return other != name })
	loaded, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Cache: kernelTypes})
	if err != nil {
		if spec.Programs[name].Type == ebpf.Netfilter {
			err = explainNetfilter(err)
		}
		if verifier := (*ebpf.VerifierError)(nil); errors.As(err, &verifier) {
			t.Logf("%+v", verifier) // all of it
		}
		t.Fatal(err)
	}
	defer loaded.Close()
	info, err := loaded.Programs[name].Info()
	if err != nil {
		t.Fatal(err)
	}
	verified, _ := info.VerifiedInstructions()
	size, err := info.TranslatedSize()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%-24s %7d instructions verified, %5d in the program", name, verified, size/8)
	if verified == 0 || verified > maxVerified {
		t.Errorf("%s: %d instructions verified, want at most %d", name, verified, maxVerified)
	}
}
