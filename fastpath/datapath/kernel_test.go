// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// hasMarks reports whether routes can be asked for with a mark.
func hasMarks() bool {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var fib *btf.Struct
	if spec.TypeByName("bpf_fib_lookup", &fib) != nil {
		return false
	}
	return hasMember(fib, "mark")
}

func hasMember(t btf.Type, name string) bool {
	var members []btf.Member
	switch t := t.(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name || m.Name == "" && hasMember(m.Type, name) {
			return true
		}
	}
	return false
}

// The verifier's work must not be near its limit on any kernel.
func TestVerifierInstructions(t *testing.T) {
	const limit = 300_000
	l := newLab(t)
	d := l.open()
	for name, p := range d.programs {
		verified(t, name, p, limit)
	}
}

func verified(t *testing.T, name string, p *ebpf.Program, limit uint32) {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	n, ok := info.VerifiedInstructions()
	t.Logf("%s: %d instructions verified", name, n)
	if ok && n > limit {
		t.Errorf("%s: %d instructions verified, want %d at most", name, n, limit)
	}
}
