// SPDX-License-Identifier: Apache-2.0

package otlpread_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

var options = otlp.Options{Version: "1.2.3", Host: otlp.Host{ID: "h", Name: "host"}}

// fataler is what a test and a property have in common.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func encode(t fataler, traces ...*trace.Trace) []byte {
	t.Helper()
	line, err := otlpfile.NewEncoder(options).Append(nil, traces)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func decode(t fataler, line []byte) []*trace.Trace {
	t.Helper()
	traces, err := otlpread.Decode(line)
	if err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return traces
}

// TestInverse: what is decoded gives the same line again.
func TestInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyTrace(t)
		line := encode(t, want)
		traces := decode(t, line)
		if len(traces) != 1 {
			t.Fatalf("%d traces", len(traces))
		}
		if diff := cmp.Diff(string(line), string(encode(t, traces...))); diff != "" {
			t.Fatal(diff)
		}
		compare(t, want, traces[0])
	})
}

// compare looks at what is not in the line itself.
func compare(t fataler, want, got *trace.Trace) {
	t.Helper()
	sameTrace := cmpopts.IgnoreFields(trace.Trace{}, "Spans")
	if diff := cmp.Diff(want, got, sameTrace, cmpopts.EquateComparable(want.Ping.Src)); diff != "" {
		t.Fatalf("trace (-encoded +decoded):\n%s", diff)
	}
	if a, b := shape(want), shape(got); a != b {
		t.Fatalf("spans (-encoded +decoded):\n%s", cmp.Diff(a, b))
	}
}

// shape lists what the tree looks like.
func shape(tr *trace.Trace) string {
	var b strings.Builder
	for i := range tr.Spans {
		s := &tr.Spans[i]
		fmt.Fprintf(&b, "%s %q parent %d depth %d %s leaf %t inner %t in %+v packet %v error %q events %v %q\n",
			s.ID, s.Name(), s.Parent, s.Depth, s.Direction, s.Leaf, s.Inner, s.NetNS.Inode, s.Packet, s.Error, s.Events, s.Bridge())
	}
	return b.String()
}

func TestMadeUpTraces(t *testing.T) {
	for _, plain := range tracetest.All() {
		for _, want := range []*trace.Trace{plain, tracetest.Owned(plain, "red")} {
			line := encode(t, want)
			got := decode(t, line)
			if diff := cmp.Diff(string(line), string(encode(t, got...))); diff != "" {
				t.Error(diff)
			}
			want.Sent = got[0].Sent // the made-up traces leave it out
			compare(t, want, got[0])
			if want.Tenant() != got[0].Tenant() {
				t.Errorf("of tenant %q, not %q", got[0].Tenant(), want.Tenant())
			}
		}
	}
}

// The devices are the same again, in their namespaces.
func TestDevices(t *testing.T) {
	want := tracetest.Complete(1)
	got := decode(t, encode(t, want))[0]
	for i := range want.Spans {
		for _, d := range [][2]*trace.Device{{want.Spans[i].Device, got.Spans[i].Device}, {want.Spans[i].Peer, got.Spans[i].Peer}} {
			if (d[0] == nil) != (d[1] == nil) {
				t.Fatalf("%s: %v, want %v", want.Spans[i].Name(), d[1], d[0])
			}
			if d[0] != nil && (d[0].Name != d[1].Name || d[0].NetNS.Name != d[1].NetNS.Name) {
				t.Errorf("%s: %+v, want %+v", want.Spans[i].Name(), d[1], d[0])
			}
		}
	}
}

func TestManyInALine(t *testing.T) {
	var want []*trace.Trace
	for seq := range uint16(5) {
		want = append(want, tracetest.Complete(seq), tracetest.Dropped(seq+100))
	}
	line := encode(t, want...)
	got := decode(t, line)
	if diff := cmp.Diff(string(line), string(encode(t, got...))); diff != "" {
		t.Error(diff)
	}
}

// What a later version, or the agent's API, has besides is ignored.
func TestUnknownFields(t *testing.T) {
	line := encode(t, tracetest.Dropped(1))
	more := bytes.ReplaceAll(line, []byte(`{"key":"dwell.kind",`), []byte(`{"key":"dwell.new","value":{"doubleValue":1.5}},{"later":[{"x":{}}],"key":"dwell.kind",`))
	more = append([]byte(`{"dwell":{"time":"2026-01-01T00:00:00Z","lost":3},`), more[1:]...)
	if diff := cmp.Diff(string(line), string(encode(t, decode(t, more)...))); diff != "" {
		t.Error(diff)
	}
	if got := decode(t, []byte(`{"resourceSpans":[],"dwell":{"lost":12}}`)); len(got) != 0 {
		t.Errorf("%d traces in a line without spans", len(got))
	}
	// A kind and an outcome that are not known yet are still shown.
	later := bytes.ReplaceAll(bytes.ReplaceAll(line, []byte(`"forward"`), []byte(`"teleport"`)), []byte(`"stringValue":"dropped"`), []byte(`"stringValue":"eaten"`))
	got := decode(t, later)[0]
	if name := got.Spans[len(got.Spans)-1].Name(); name != "teleport" || got.Outcome.String() != "unknown" {
		t.Errorf("%s, %s", name, got.Outcome)
	}
}

func TestRefused(t *testing.T) {
	line := string(encode(t, tracetest.Complete(1)))
	for what, bad := range map[string]string{
		"not a line of OTLP/JSON":         `{"resourceSpans":7}`,
		"ends in the middle":              line[:len(line)/2],
		"nested more than":                strings.Repeat(`{"resourceSpans":[`, 40),
		"at most 8388608":                 strings.Repeat(" ", otlpread.MaxLine+1),
		"objects and lists":               "[" + strings.Repeat("{},", 1<<18) + "{}]",
		"not an address":                  strings.Replace(line, "192.168.0.10\"", "192.168.0.\"", 1),
		"not a whole number from 0":       strings.Replace(line, `"dwell.icmp.seq","value":{"intValue":"1"}`, `"dwell.icmp.seq","value":{"intValue":"65536"}`, 1),
		"has no parent and is not a ping": strings.ReplaceAll(line, `"ping"`, `"pong"`),
		"two spans have the ID":           strings.Replace(line, `"spanId":"0000000200000002"`, `"spanId":"0000000200000001"`, 1),
		"a span without an ID":            strings.Replace(line, `"spanId":"0000000200000001"`, `"spanId":""`, 1),
		"around themselves":               strings.Replace(line, `"spanId":"0000000200000001",`, `"spanId":"0000000200000001","parentSpanId":"0000000200000003",`, 1),
	} {
		if _, err := otlpread.Decode([]byte(bad)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The order of a namespace's spans in the line counts for more than their times.
func TestOrderOfTheLine(t *testing.T) {
	tr := tracetest.Complete(1)
	for n := range 3 { // each begins before the one before
		at := tr.Root().End - int64(n+1)*1000
		tr.Add(0, trace.Span{
			ID: trace.SpanID{0: 0xdd, 7: byte(n)}, Kind: trace.KindReply, Title: fmt.Sprintf("echo reply (duplicate %d)", n+1),
			NetNS: tracetest.Guest, Start: at, End: at + 10,
		})
	}
	line := encode(t, tr)
	if diff := cmp.Diff(string(line), string(encode(t, decode(t, line)...))); diff != "" {
		t.Error(diff)
	}
}

// A span may lack what it has if dwell writes it.
func TestWithoutDevices(t *testing.T) {
	line := bytes.ReplaceAll(encode(t, tracetest.Complete(1)), []byte(`"network.interface.name"`), []byte(`"other"`))
	got := decode(t, line)[0]
	for i := range got.Spans {
		if got.Spans[i].Device != nil {
			t.Errorf("%s has a device", got.Spans[i].Name())
		}
	}
}

// Brackets in a string are not nesting, whatever quotes and backslashes are before them.
func TestBracketsInStrings(t *testing.T) {
	for _, name := range []string{`"`, `\`, `\"`, `\\`, `"\\\"`} {
		tr := tracetest.Complete(1)
		tr.Root().Title = name + strings.Repeat("{[", 100) + name
		if got := decode(t, encode(t, tr))[0].Root().Name(); got != tr.Root().Title {
			t.Errorf("%q became %q", tr.Root().Title, got)
		}
	}
}

// A trace as deep as no trace is: an error, and no stack that is used up.
func TestDeep(t *testing.T) {
	tr := tracetest.NoReply(1)
	at := len(tr.Spans) - 1
	for i := range 100 {
		at = tr.Add(at, trace.Span{ID: trace.SpanID{0: 0xdd, 7: byte(i)}, Kind: trace.KindForward, NetNS: tracetest.Guest})
	}
	if _, err := otlpread.Decode(encode(t, tr)); err == nil || !strings.Contains(err.Error(), "more than 64 spans around one") {
		t.Error(err)
	}
}

// FuzzDecode: whatever the line, there is an error or there are traces that can be encoded.
func FuzzDecode(f *testing.F) {
	for _, tr := range tracetest.All() {
		f.Add(encode(f, tr))
	}
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}],"dwell":{}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		traces, err := otlpread.Decode(line)
		if err != nil {
			return
		}
		again := encode(t, traces...)
		if diff := cmp.Diff(string(again), string(encode(t, decode(t, again)...))); diff != "" {
			t.Error(diff)
		}
		for _, tr := range traces {
			_, _ = tr.RTT()
			_ = tr.Tenants()
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	line := encode(b, tracetest.Complete(1))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := otlpread.Decode(line); err != nil {
			b.Fatal(err)
		}
	}
}
