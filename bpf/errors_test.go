// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

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
		want      error
	}{
		{"kfree_skb", 3, event.KfreeSKB, nil},
		{"kfree_skb", 4, event.KfreeSKB, nil},
		{"kfree_skb", 2, event.KfreeSKB, ErrTracepoint}, // before 5.17
		{"consume_skb", 3, event.KfreeSKB, ErrTracepoint},
		{"netif_rx", 1, event.NetifRx, nil},
	} {
		err := checkTracepoints(tracepointBTF(t, tt.kernel, tt.arguments), []event.HookInfo{tt.hook.Info()})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s on a kernel with %d arguments of %s: %v", tt.hook, tt.arguments, tt.kernel, err)
		}
	}
}

func TestCheckNetfilter(t *testing.T) {
	// Whatever else it has: before 6.4, or without the option, the type is missing.
	if err := checkNetfilter(tracepointBTF(t, "netif_rx", 1)); !errors.Is(err, ErrNetfilter) {
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
