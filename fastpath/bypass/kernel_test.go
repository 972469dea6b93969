// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf"
)

// The verifier's work must not be near its limit on any kernel.
func TestVerifierInstructions(t *testing.T) {
	const limit = 500_000
	b := newLab(t, 0).open()
	programs := map[string]*ebpf.Program{}
	for name, p := range b.programs {
		programs[name] = p
	}
	traced, err := b.loadTraced(tracer(t).Shared(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer traced.Close()
	for name, p := range traced.Programs {
		programs["traced "+name] = p
	}
	for name, p := range programs {
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
}

// tracer loads the tracer's programs, which do not record by themselves here.
func tracer(t *testing.T) *bpf.Tracer {
	t.Helper()
	tr, err := bpf.Load(bpf.Options{RingBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// traces returns the names of the programs that record, by slot.
func traces(t *testing.T, b *Bypass) []string {
	t.Helper()
	names := []string{"", ""}
	for slot := range names {
		var p *ebpf.Program
		if err := b.maps[plainMapTraced].Lookup(uint32(slot), &p); err != nil {
			continue // none
		}
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		names[slot] = info.Name
		p.Close()
	}
	return names
}

// The programs that record come and go with the tracer, each to its place, and stay when the agent ends.
func TestSetTracing(t *testing.T) {
	l := newLab(t, 0)
	b := l.open()
	shared := tracer(t).Shared()
	none, both := []string{"", ""}, []string{"ingress", "egress"}
	for _, tt := range []struct {
		maps map[string]*ebpf.Map
		want []string
	}{{nil, none}, {shared, both}, {shared, both}, {nil, none}, {shared, both}} {
		if err := b.SetTracing(tt.maps); err != nil {
			t.Fatal(err)
		}
		if got := traces(t, b); !slices.Equal(got, tt.want) {
			t.Errorf("programs %q, want %q", got, tt.want)
		}
	}
	if err := b.SetTracing(map[string]*ebpf.Map{}); err == nil {
		t.Error("maps that are missing gave no error")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := traces(t, l.open()); !slices.Equal(got, none) {
		t.Errorf("an agent without a tracer has %q", got)
	}
}

// conntrack describes connections as the kernel does, or otherwise than the programs expect.
func conntrack(change func(conn, hash *btf.Struct, kinds *btf.Enum)) []btf.Type {
	u8, u64 := &btf.Int{Name: "u8", Size: 1}, &btf.Int{Name: "u64", Size: 8}
	seen := &btf.Struct{Name: "ip_ct_tcp_state", Size: 20, Members: []btf.Member{{Name: "flags", Type: u8, Offset: 8 * 18}}}
	tcp := &btf.Struct{Name: "ip_ct_tcp", Size: 56, Members: []btf.Member{
		{Name: "seen", Type: &btf.Array{Index: u64, Type: seen, Nelems: 2}}, {Name: "state", Type: u8, Offset: 8 * 40},
	}}
	hash := &btf.Struct{Name: "nf_conntrack_tuple_hash", Size: 56, Members: []btf.Member{{Name: "tuple", Type: u64, Offset: 8 * 16}}}
	zone := &btf.Struct{Name: "nf_conntrack_zone", Size: 4, Members: []btf.Member{{Name: "id", Type: u8}, {Name: "flags", Type: u8, Offset: 16}}}
	conn := &btf.Struct{Name: "nf_conn", Size: 248, Members: []btf.Member{
		{Name: "timeout", Type: u64, Offset: 8 * 8},
		{Name: "tuplehash", Type: &btf.Array{Index: u64, Type: hash, Nelems: 2}, Offset: 8 * 16},
		{Name: "status", Type: u64, Offset: 8 * 128},
		{Name: "ext", Type: u64, Offset: 8 * 176},
		{Name: "proto", Type: &btf.Union{Name: "nf_conntrack_proto", Size: 56, Members: []btf.Member{{Name: "tcp", Type: tcp}}}, Offset: 8 * 184},
		{Name: "zone", Type: zone, Offset: 8 * 12},
	}}
	kinds := &btf.Enum{Name: "nf_ct_ext_id", Size: 4, Values: []btf.EnumValue{{Name: "NF_CT_EXT_HELPER"}, {Name: "NF_CT_EXT_SEQADJ", Value: 2}}}
	change(conn, hash, kinds)
	return []btf.Type{conn, hash, kinds}
}

// Where things are in a connection is read, and if anything is missing or elsewhere than the programs take for
// granted, no connection is relied on.
func TestConntrack(t *testing.T) {
	want := map[string]uint32{
		plainVarNfConnTimeout: 8, plainVarNfConnExt: 176,
		plainVarNfConnTcpState: 224, plainVarNfConnTcpFlags0: 202, plainVarNfConnTcpFlags1: 222,
		plainVarNfConnZoned: 1,
		plainVarExtHelper:   0, plainVarExtSeqadj: 2,
	}
	good := described(t, conntrack(func(_, _ *btf.Struct, _ *btf.Enum) {})...)
	if diff := cmp.Diff(want, readConntrack(good)); diff != "" {
		t.Errorf("offsets (-want +got):\n%s", diff)
	}
	k := kernel{hz: 100, conntrack: readConntrack(good)}
	want[plainVarHz], want[plainVarExtSynproxy] = 100, noExtension
	if diff := cmp.Diff(want, k.constants()); diff != "" {
		t.Errorf("constants (-want +got):\n%s", diff)
	}
	without := readConntrack(described(t, conntrack(func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Members[5].Name = "x" })...))
	if _, ok := without[plainVarNfConnZoned]; ok || without == nil {
		t.Errorf("without zones: %v", without)
	}
	for name, change := range map[string]func(conn, hash *btf.Struct, kinds *btf.Enum){
		"another size":    func(_, hash *btf.Struct, _ *btf.Enum) { hash.Size = 64 },
		"another place":   func(_, hash *btf.Struct, _ *btf.Enum) { hash.Members[0].Offset = 0 },
		"status is apart": func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Members[2].Offset += 64 },
		"zone is apart":   func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Members[5].Offset += 64 },
		"tuples apart":    func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Members[1].Offset += 64; conn.Members[2].Offset += 64 },
		"no timeout":      func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Members[0].Name = "x" },
		"no TCP":          func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Members[4].Name = "x" },
		"TCP's state is apart": func(conn, _ *btf.Struct, _ *btf.Enum) {
			tcp := conn.Members[4].Type.(*btf.Union).Members[0].Type.(*btf.Struct)
			tcp.Members[1].Offset += 64 * 8
		},
		"TCP's state is before": func(conn, _ *btf.Struct, _ *btf.Enum) {
			tcp := conn.Members[4].Type.(*btf.Union).Members[0].Type.(*btf.Struct)
			tcp.Members[1].Offset = 0
		},
		"no extensions":  func(_, _ *btf.Struct, kinds *btf.Enum) { kinds.Name = "x" },
		"no connections": func(conn, _ *btf.Struct, _ *btf.Enum) { conn.Name = "x" },
	} {
		if got := readConntrack(described(t, conntrack(change)...)); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// This kernel, which can track connections, is understood.
func TestConntrackOfThisKernel(t *testing.T) {
	needKernel(t)
	k, err := readKernel(btf.NewCache())
	if err != nil || k.conntrack == nil {
		t.Errorf("%+v, %v", k, err)
	}
}
