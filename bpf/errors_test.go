// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// tracepointBTF is the BTF of a kernel with one tracepoint of some arguments.
func tracepointBTF(t *testing.T, name string, arguments int) *btf.Spec {
	t.Helper()
	void := &btf.Pointer{Target: (*btf.Void)(nil)}
	proto := &btf.FuncProto{Return: (*btf.Void)(nil), Params: []btf.FuncParam{{Type: void}}}
	for range arguments {
		proto.Params = append(proto.Params, btf.FuncParam{Type: void})
	}
	builder, err := btf.NewBuilder([]btf.Type{
		&btf.Typedef{Name: "btf_trace_" + name, Type: &btf.Pointer{Target: proto}},
	}, nil)
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

func TestCheckTracepoints(t *testing.T) {
	for _, tt := range []struct {
		kernel    string
		arguments int
		hook      event.Hook
		want      *UnsupportedError
	}{
		{"kfree_skb", 3, event.KfreeSKB, nil},
		{"kfree_skb", 4, event.KfreeSKB, nil},
		{"kfree_skb", 2, event.KfreeSKB, &UnsupportedError{
			Feature: "tracepoint kfree_skb with 3 arguments", Minimum: event.Version{Major: 5, Minor: 17}, Err: ErrTracepoint,
		}},
		{"consume_skb", 3, event.KfreeSKB, &UnsupportedError{
			Feature: "tracepoint kfree_skb", Minimum: event.Version{Major: 5, Minor: 17},
			Config: "CONFIG_NET and CONFIG_TRACEPOINTS", Err: ErrTracepoint,
		}},
		{"netif_rx", 1, event.NetifRx, nil},
	} {
		err := checkTracepoints(tracepointBTF(t, tt.kernel, tt.arguments), []event.HookInfo{tt.hook.Info()})
		if tt.want == nil {
			if err != nil {
				t.Errorf("%s on a kernel with %d arguments of %s: %v", tt.hook, tt.arguments, tt.kernel, err)
			}
			continue
		}
		var got *UnsupportedError
		if !errors.As(err, &got) || *got != *tt.want {
			t.Errorf("%s on a kernel with %d arguments of %s: %#v, want %#v", tt.hook, tt.arguments, tt.kernel, got, tt.want)
		}
		if !errors.Is(err, ErrUnsupported) || !errors.Is(err, ErrTracepoint) || errors.Is(err, ErrNetfilter) {
			t.Errorf("%v is not ErrUnsupported and ErrTracepoint alone", err)
		}
	}
}

// A kernel that lacks several is told of all.
func TestCheckTracepointsNamesAll(t *testing.T) {
	err := checkTracepoints(tracepointBTF(t, "netif_rx", 1), []event.HookInfo{
		event.NetDevQueue.Info(), event.NetifRx.Info(), event.KfreeSKB.Info(),
	})
	const want = "tracepoint net_dev_queue not supported: Linux 5.5 or later is needed, built with CONFIG_NET and CONFIG_TRACEPOINTS\n" +
		"tracepoint kfree_skb not supported: Linux 5.17 or later is needed, built with CONFIG_NET and CONFIG_TRACEPOINTS"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNeedsNewer(t *testing.T) {
	err := &UnsupportedError{Feature: "drop reasons", Minimum: event.Version{Major: 5, Minor: 17}}
	if want := "drop reasons not supported: Linux 5.17 or later is needed"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	for release, want := range map[string]bool{
		"5.16.20": true, "4.19.0-25-amd64": true, "5.17.0": false, "6.1.0": false, "custom": false,
	} {
		if got := err.NeedsNewer(release); got != want {
			t.Errorf("%s: needs a newer kernel %t, want %t", release, got, want)
		}
	}
}

func TestCheckNetfilter(t *testing.T) {
	// Whatever else it has: in older kernels, or without the option, the type is missing.
	err := checkNetfilter(tracepointBTF(t, "netif_rx", 1), event.All())
	var missing *UnsupportedError
	if !errors.As(err, &missing) || !errors.Is(err, ErrNetfilter) || missing.Minimum != (event.Version{Major: 6, Minor: 4}) {
		t.Error(err)
	}
}

func TestVerifierErrorIsNotPermission(t *testing.T) {
	// The verifier refuses with EACCES.
	err := explain(&ebpf.VerifierError{Cause: errors.New("permission denied")})
	if !errors.Is(err, ErrVerifier) || errors.Is(err, ErrPermission) {
		t.Error(err)
	}
}

// Who has no memory for the rings is told that they can be smaller.
func TestNoMemoryForRings(t *testing.T) {
	privileged(t)
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		t.Fatal(err)
	}
	count := int(machine.Totalram*uint64(machine.Unit)/maxPerCPU) + 1 // the kernel does not even try
	tracer, err := tryLoadSharing(t, Options{}, count, maxPerCPU)
	if err == nil {
		t.Fatal(errors.Join(errors.New("loaded"), tracer.Close()))
	}
	want := fmt.Sprintf("no memory for ring buffers of %d MiB together: make them smaller", count*(maxPerCPU>>20))
	if !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
