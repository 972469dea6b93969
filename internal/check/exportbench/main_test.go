// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// TestMain lets this program play the roles of the processes that it starts.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--role") {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// TestCompare runs a round of everything: no span may be lost, each exporter has a line.
func TestCompare(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), []string{"--rounds", "1", "--spans", "50"}, nil, &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2+len(exporters()) {
		t.Fatalf("%d lines:\n%s", len(lines), &out)
	}
	for i, name := range exporters() {
		line := strings.TrimSpace(lines[2+i])
		if !strings.HasPrefix(line, name) || !strings.HasSuffix(line, " 0") {
			t.Errorf("%q should begin with %q and end with no loss", line, name)
		}
	}
}

// TestSinkCountsSpans: what the sink counts without decoding is what is there.
func TestSinkCountsSpans(t *testing.T) {
	t.Parallel()
	traces := pings(2)
	b, err := proto.Marshal(&coltracepb.ExportTraceServiceRequest{ResourceSpans: otlp.Spans(traces, options())})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := countSpans(b), exporter.CountOf(traces...).Spans; got != want {
		t.Errorf("%d spans, want %d", got, want)
	}
	for i := range b { // a part of a request must not make it panic
		countSpans(b[:i])
	}
}
