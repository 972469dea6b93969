// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
)

// TestReadBack: each golden trace is the same after it was written as OTLP and read again, and so is
// the line that it gives.
func TestReadBack(t *testing.T) {
	for _, g := range slices.Concat(golden, roads, copies, guests, judgings, fastPaths) {
		t.Run(g.name, func(t *testing.T) {
			s := newSim()
			g.what(s)
			traces, _ := run(s.events, correlate.Options{Start: s.events[0].Time})
			for _, want := range traces {
				line := otlpLine(t, want)
				got, err := otlpread.Decode(line)
				if err != nil || len(got) != 1 {
					t.Fatalf("%d traces, %v", len(got), err)
				}
				if diff := cmp.Diff(render(want), render(got[0])); diff != "" {
					t.Errorf("(-written +read):\n%s", diff)
				}
				if diff := cmp.Diff(string(line), string(otlpLine(t, got[0]))); diff != "" {
					t.Errorf("(-line +line again):\n%s", diff)
				}
				wantRTT, _ := want.RTT()
				if gotRTT, _ := got[0].RTT(); gotRTT != wantRTT {
					t.Errorf("RTT %d, want %d", gotRTT, wantRTT)
				}
			}
		})
	}
}

func otlpLine(t *testing.T, tr *trace.Trace) []byte {
	t.Helper()
	line, err := otlpfile.NewEncoder(otlp.Options{Version: "test"}).Append(nil, []*trace.Trace{tr})
	if err != nil {
		t.Fatal(err)
	}
	return line
}
