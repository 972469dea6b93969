// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/table"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// stretched is a complete ping whose spans all last longer by a factor.
func stretched(seq uint16, factor int64) *trace.Trace {
	tr := tracetest.Beyond(seq)
	start := tr.Root().Start
	for i := range tr.Spans {
		s := &tr.Spans[i]
		s.Start = start + (s.Start-start)*factor
		s.End = start + (s.End-start)*factor
	}
	return tr
}

func write(t rapid.TB, tb *table.Table, o table.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := tb.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func fill(t rapid.TB, tb *table.Table, traces ...*trace.Trace) {
	t.Helper()
	if err := tb.Export(context.Background(), traces); err != nil {
		t.Fatal(err)
	}
}

func TestGolden(t *testing.T) {
	mixed := table.New(0)
	for i := range int64(100) {
		fill(t, mixed, stretched(uint16(i), i+1))
	}
	fill(t, mixed, tracetest.Complete(200), tracetest.Dropped(201), tracetest.NoReply(202))
	sampled := table.New(10)
	for i := range int64(30) {
		fill(t, sampled, stretched(uint16(i), i+1))
	}
	for name, got := range map[string]string{
		"mixed":   write(t, mixed, table.Options{}),
		"sampled": write(t, sampled, table.Options{ASCII: true}),
		"empty":   write(t, table.New(0), table.Options{}),
	} {
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: run with -update if this is meant (-want +got):\n%s", name, diff)
		}
	}
}

// TestFigures: of durations 1 to 100 times 412 ns, the mean is 50.5, the median the
// 50th and the 99th percentile the 99th of them.
func TestFigures(t *testing.T) {
	tb := table.New(0)
	for i := range int64(100) {
		fill(t, tb, stretched(uint16(i), 100-i))
	}
	for line := range strings.Lines(write(t, tb, table.Options{})) {
		if f := strings.Fields(line); f[1] == "transmit" && f[2] == "brovsns-ns" {
			want := []string{"100", "20.806", "µs", "20.600", "µs", "40.788", "µs"}
			if diff := cmp.Diff(want, f[4:]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			return
		}
	}
	t.Error("no row for the sender's device")
}

// TestRowsStandInTheOrderOfThePath, whichever ping came first.
func TestRowsStandInTheOrderOfThePath(t *testing.T) {
	a, b := table.New(0), table.New(0)
	fill(t, a, tracetest.Complete(1), tracetest.Beyond(2))
	fill(t, b, tracetest.Beyond(2), tracetest.Complete(1))
	for _, tb := range []*table.Table{a, b} {
		text := write(t, tb, table.Options{})
		last := 0
		for _, span := range []string{"transmit brovsns-ns", "queue ens3", "link ens3 -> ens3-peer", "transmit ens3-peer", "queue ovs-br", "link brovsns-br -> brovsns-ns"} {
			at := strings.Index(text, span)
			if at < last {
				t.Errorf("%s stands in the wrong place in\n%s", span, text)
			}
			last = at
		}
	}
}
