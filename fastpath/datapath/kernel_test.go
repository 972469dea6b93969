// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
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

// Errors of the kernel say what to do.
func TestErrorsSayWhatToDo(t *testing.T) {
	privilegetest.BPF(t)
	_, refused := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Return()}})
	for _, tt := range []struct {
		err, is error
		text    string
	}{
		{refused, ErrVerifier, "iptables decides alone"},
		{unix.EPERM, ErrPermission, "CAP_NET_ADMIN"},
		{ebpf.ErrNotSupported, ErrUnsupported, "Linux 6.1"},
	} {
		if err := explain(tt.err); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("error %v, want %v with %q", err, tt.is, tt.text)
		}
	}
}

// What an Open that fails has made does not keep the next from opening.
func TestOpenFails(t *testing.T) {
	l := newLab(t)
	shared := map[string]*ebpf.Map{}
	if _, err := Open(Options{Pin: l.pin, Tenant: 7, NetNS: l.host, Shared: shared}); err == nil || !strings.Contains(err.Error(), "is not shared") {
		t.Fatalf("error %v", err)
	}
	if err := l.open().Remove(); err != nil {
		t.Fatal(err)
	}
}

// The numbers of reasons are those of the programs, and each has a name of its own.
func TestReasons(t *testing.T) {
	source, err := os.ReadFile("c/maps.h")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), "enum reason {")
	list, _, _ = strings.Cut(list, "}")
	if n := strings.Count(list, ",") - 1; n != int(reasons) {
		t.Errorf("enum reason has %d, Reason has %d", n, reasons)
	}
	names := map[string]bool{}
	for _, r := range Reasons() {
		if name := r.String(); name == "unknown" || names[name] {
			t.Errorf("reason %d is called %q", r, name)
		}
		names[r.String()] = true
	}
}
