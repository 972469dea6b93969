// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// TestEncodingIsWhatTheLibraryWrites: whatever is in a trace, the protobuf library
// reads all of what the encoder writes and writes the same bytes. An encoder that is
// used again writes what a new one does.
func TestEncodingIsWhatTheLibraryWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := otlp.Options{Version: text.Draw(t, "version"), Host: otlp.Host{ID: text.Draw(t, "host")}, Graph: rapid.Bool().Draw(t, "graph")}
		for range rapid.IntRange(0, 2).Draw(t, "attributes") {
			o.Environment = append(o.Environment, otlp.Attribute{Key: text.Draw(t, "key"), Value: text.Draw(t, "value")})
		}
		e := otlp.NewEncoder(o)
		for range rapid.IntRange(1, 2).Draw(t, "calls") {
			traces := rapid.SliceOfN(rapid.Custom(drawTrace), 0, 3).Draw(t, "traces")
			got := e.Append([]byte("before"), traces)[len("before"):]
			var request coltracepb.ExportTraceServiceRequest
			if err := proto.Unmarshal(got, &request); err != nil {
				t.Fatal(err)
			}
			again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&request)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, again) {
				t.Fatalf("%x is encoded; the library would write %x", got, again)
			}
			if first := otlp.NewEncoder(o).Append(nil, traces); !bytes.Equal(got, first) {
				t.Fatalf("an encoder that was used before writes %x, a new one %x", got, first)
			}
		}
	})
}

// TestEncodedBytes: what is sent stays what it is, byte by byte. Who means to change it changes the
// sums, too.
func TestEncodedBytes(t *testing.T) {
	for graph, want := range map[bool]string{
		false: "2fa2789d02e36b1bf69e0fe3eb98692bd9ad11a26eff47f5269cd1d3624b9109",
		true:  "1a38ce8652f891cdab21c3b171eda00ebbd803af369deebfa35accd79be0b19e",
	} {
		o := options
		o.Graph = graph
		e := otlp.NewEncoder(o)
		for range 2 {
			request := e.Append(nil, append(tracetest.All(), tracetest.All()...))
			if got := fmt.Sprintf("%x", sha256.Sum256(request)); got != want {
				t.Errorf("with graph %t: %d bytes with the sum %s; want %s", graph, len(request), got, want)
			}
		}
	}
}

// text draws names as the kernel allows them, which need not be UTF-8, and some that
// are longer than short lengths.
var text = rapid.OneOf(
	rapid.SampledFrom([]string{"", "eth0", "br-lan", "\xff\xfe0", strings.Repeat("x", 200), strings.Repeat("y", 1<<14)}),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 15), func(b []byte) string { return string(b) }),
)

func drawTrace(t *rapid.T) *trace.Trace {
	tr := rapid.SampledFrom(tracetest.All()).Draw(t, "trace")
	tr.Local = rapid.Bool().Draw(t, "local")
	tr.Duplicates = rapid.IntRange(-1, 300).Draw(t, "duplicates")
	tr.DropReason, tr.State = text.Draw(t, "reason"), text.Draw(t, "state")
	tr.Outcome = rapid.SampledFrom(trace.Outcomes()).Draw(t, "outcome")
	tr.Cause = rapid.SampledFrom(append(trace.Causes(), "")).Draw(t, "cause")
	tr.Remote[0], tr.RemoteTurn[0] = rapid.Byte().Draw(t, "remote"), rapid.Byte().Draw(t, "turn")
	tr.Ping.PayloadLen = rapid.IntRange(-1, 1<<16).Draw(t, "payload")
	tr.Ping.ID, tr.Ping.Seq = rapid.Uint16().Draw(t, "id"), rapid.Uint16().Draw(t, "seq")
	for range rapid.IntRange(0, 8).Draw(t, "changes") {
		s := &tr.Spans[rapid.IntRange(0, len(tr.Spans)-1).Draw(t, "span")]
		switch rapid.IntRange(0, 10).Draw(t, "what") {
		case 0:
			s.Start, s.End = rapid.Int64().Draw(t, "start"), rapid.Int64().Draw(t, "end")
		case 1:
			s.Error = text.Draw(t, "error")
		case 2:
			s.Title = text.Draw(t, "title")
		case 3:
			s.NetNS = &trace.NetNS{Inode: rapid.Uint32().Draw(t, "inode"), Name: text.Draw(t, "netns"), Tenant: text.Draw(t, "tenant")}
			if rapid.Bool().Draw(t, "contained") {
				s.NetNS.Container = &trace.Container{ID: text.Draw(t, "container"), Pod: trace.Pod{Name: text.Draw(t, "pod")}}
			}
			s.Peer = rapid.SampledFrom([]*trace.Device{nil, {Name: "peer"}}).Draw(t, "peer")
			s.Device = &trace.Device{NetNS: s.NetNS, Name: text.Draw(t, "device"), Bridge: text.Draw(t, "bridge"), Tenant: text.Draw(t, "owner")}
		case 4:
			s.NetNS = nil
		case 5:
			s.Packet = &trace.Packet{Src: netip.IPv6Loopback(), OuterSrc: netip.IPv6Loopback(), OuterDst: netip.IPv6Loopback(), Tunnel: "vxlan", TunnelID: rapid.Uint32().Draw(t, "vni"), Depth: 1}
		case 6:
			s.Events = append(s.Events, trace.Event{Time: rapid.Int64().Draw(t, "time"), Name: text.Draw(t, "event"), Attrs: []trace.Attr{
				trace.String(text.Draw(t, "key"), text.Draw(t, "value")), trace.Int("dwell.test", rapid.Int64().Draw(t, "int")),
			}})
		case 7:
			s.Kind = rapid.SampledFrom([]trace.Kind{trace.KindBeyond, trace.KindTransmit, trace.KindDevice}).Draw(t, "kind")
			s.Inner = rapid.Bool().Draw(t, "inner")
		case 8:
			s.Start, s.End = 0, int64(rapid.IntRange(0, 1).Draw(t, "end"))
		case 9:
			s.ID = trace.SpanID{}
		case 10:
			s.Packet = nil
		}
	}
	return tr
}

func BenchmarkEncoder(b *testing.B) {
	const pings = 100
	traces := make([]*trace.Trace, pings)
	spans := 0
	for i := range traces {
		traces[i] = tracetest.Complete(uint16(i))
		spans += len(traces[i].Spans)
	}
	for name, graph := range map[string]bool{"flat": false, "graph": true} {
		b.Run(name, func(b *testing.B) {
			o := options
			o.Graph = graph // as an endpoint gets them
			e := otlp.NewEncoder(o)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = e.Append(buf[:0], traces)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
			b.ReportMetric(float64(len(buf))/float64(spans), "bytes/span")
		})
	}
}
