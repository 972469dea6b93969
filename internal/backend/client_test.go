// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
)

// A client gets what was given to the hub, and nothing else.
func TestClient(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	c := s.client(t)
	traces := some(8)
	s.hub.Take("red", traces[:7])
	stream, err := c.Traces(t.Context(), "red", client.StreamOptions{Last: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	s.hub.Take("red", traces[7:])
	var got []trace.ID
	for len(got) < 3 {
		line, note, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		if note != nil {
			continue
		}
		list, err := otlpread.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list[0].ID)
	}
	if diff := cmp.Diff([]trace.ID{traces[5].ID, traces[6].ID, traces[7].ID}, got); diff != "" {
		t.Errorf("traces of the stream (-want +got):\n%s", diff)
	}

	summary, err := c.Summary(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	if p := summary.Pings; p.Total != 8 || p.ByOutcome["complete"] != 6 || p.Drops["NETFILTER_DROP"] != 2 {
		t.Errorf("the summary counts %+v", p)
	}
	if summary.RTT.Count != 6 || len(summary.Devices) == 0 {
		t.Errorf("the summary has %d round trips and %d devices", summary.RTT.Count, len(summary.Devices))
	}
	pings, err := c.Pings(t.Context(), "red", 3)
	if err != nil {
		t.Fatal(err)
	}
	if p := pings.Pings; len(p) != 3 || p[0].TraceID != traces[7].ID.String() || p[0].Outcome != "dropped" || p[0].DropReason == "" {
		t.Errorf("the pings are %+v", p)
	}
	line, err := c.Trace(t.Context(), "red", traces[4].ID.String())
	if err != nil {
		t.Fatal(err)
	}
	if list, err := otlpread.Decode(line); err != nil || len(list) != 1 || list[0].ID != traces[4].ID {
		t.Errorf("the trace is %v, %v", list, err)
	}
	if _, err := c.Trace(t.Context(), "blue", traces[4].ID.String()); client.Code(err) != api.CodeUnknownTrace {
		t.Errorf("red's trace in blue's: %v", err)
	}
	for _, id := range []string{"blue", client.Operator} {
		if summary, err = c.Summary(t.Context(), id); err != nil || summary.Pings.Total != 0 {
			t.Errorf("%q has %d of red's pings, %v", id, summary.Pings.Total, err)
		}
	}
}
