// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// A kernel that is too old is refused, and what it lacks is named; nothing is mounted or pinned there. A newer one is
// not refused.
func TestSupported(t *testing.T) {
	privilegetest.BPF(t)
	version, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	if version >= 6<<16|6<<8 {
		if err := Supported(); err != nil {
			t.Errorf("error %v", err)
		}
		return
	}
	pin := newPin(t)
	_, err = Open(Options{Pin: pin})
	for _, err := range []error{err, Supported()} {
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "TCX (Linux 6.6)") {
			t.Errorf("error %v", err)
		}
	}
	if err := Remove(pin, nil); err != nil {
		t.Errorf("remove what cannot be there: %v", err)
	}
	if attended, err := Attended(pin); attended || err != nil {
		t.Errorf("attended: %v, %v", attended, err)
	}
}

// described returns a description of types.
func described(t *testing.T, types ...btf.Type) *btf.Spec {
	t.Helper()
	builder, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := builder.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// All that is missing is named, and from which version on it is there.
func TestSupportsNamesWhatIsMissing(t *testing.T) {
	old := &btf.Enum{Name: "bpf_attach_type", Size: 4, Values: []btf.EnumValue{{Name: "BPF_XDP", Value: 1}}}
	recent := &btf.Enum{Name: "bpf_attach_type", Size: 4, Values: []btf.EnumValue{{Name: "BPF_TCX_INGRESS", Value: 46}}}
	fn := func(name string) btf.Type {
		return &btf.Func{Name: name, Type: &btf.FuncProto{Return: &btf.Void{}}}
	}
	for _, tt := range []struct {
		spec    *btf.Spec
		missing []string
	}{
		{described(t, old), []string{"TCX (Linux 6.6)", "bpf_rdonly_cast (Linux 6.2)", "bpf_cast_to_kern_ctx (Linux 6.2)"}},
		{described(t, fn("bpf_rdonly_cast"), fn("bpf_cast_to_kern_ctx")), []string{"TCX (Linux 6.6)"}},
		{described(t, recent, fn("bpf_cast_to_kern_ctx")), []string{"bpf_rdonly_cast (Linux 6.2)"}},
		{described(t, recent, fn("bpf_rdonly_cast"), fn("bpf_cast_to_kern_ctx")), nil},
	} {
		err := supports(tt.spec)
		if (err == nil) != (tt.missing == nil) || err != nil && !errors.Is(err, ErrUnsupported) {
			t.Errorf("error %v, want one about %q", err, tt.missing)
		}
		for _, name := range tt.missing {
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("error %v does not name %q", err, name)
			}
		}
		if n := strings.Count(fmtError(err), "(Linux"); n != len(tt.missing) {
			t.Errorf("error %v names %d, want %d", err, n, len(tt.missing))
		}
	}
}

func fmtError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Errors of the kernel say what to do.
func TestErrorsSayWhatToDo(t *testing.T) {
	privilegetest.BPF(t)
	_, refused := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Return()}})
	for _, tt := range []struct {
		err, is error
		text    string
	}{
		{refused, ErrVerifier, "the kernel forwards all packets itself"},
		{unix.EPERM, ErrPermission, "CAP_NET_ADMIN"},
		{ebpf.ErrNotSupported, ErrUnsupported, "Linux 6.6"},
	} {
		if err := explain(tt.err); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("error %v, want %v with %q", err, tt.is, tt.text)
		}
	}
}

// What an Open that fails has made does not keep the next from opening.
func TestOpenFails(t *testing.T) {
	l := newLab(t, 0)
	if _, err := Open(Options{Pin: l.pin, NetNS: l.ns, Flows: -1}); err == nil || !strings.Contains(err.Error(), "-1") {
		t.Errorf("error %v", err)
	}
	shared := map[string]*ebpf.Map{}
	if _, err := Open(Options{Pin: l.pin, NetNS: l.ns, Shared: shared}); err == nil || !strings.Contains(err.Error(), "is not shared") {
		t.Errorf("error %v", err)
	}
	l.open()
}
