// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A trace whose spans are in two lines is one journey; a line that is still being written
// is left alone.
func TestReadJourneys(t *testing.T) {
	line := func(service, name string, parent byte, event string) string {
		traces := ptrace.NewTraces()
		rs := traces.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID([16]byte{1})
		span.SetSpanID([8]byte{2 + parent})
		span.SetParentSpanID([8]byte{parent})
		span.SetName(name)
		span.Attributes().PutStr("dwell.outcome", "complete")
		span.Attributes().PutStr("source.address", "a")
		span.Attributes().PutStr("destination.address", "b")
		span.Attributes().PutStr("network.interface.name", "eth0")
		span.Attributes().PutStr("dwell.tenant.id", "of "+service)
		span.Events().AppendEmpty().SetName(event)
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	}
	path := filepath.Join(t.TempDir(), "traces.jsonl")
	if got, err := readJourneys(path); err != nil || got != nil {
		t.Errorf("before there is a file: %v, %v", got, err)
	}
	text := line("red", "ping", 0, "copy") + line("blue", "deliver", 2, "nat")
	text += strings.TrimSuffix(line("green", "unfinished", 2, "copy"), "}\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readJourneys(path)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	j := got[0]
	if tenants := []string{"of red", "of blue"}; !slices.Equal(j.tenants, tenants) {
		t.Errorf("tenants %q, want %q", j.tenants, tenants)
	}
	if !between("a", "b")(j) || !j.nat || !j.has("service.name", "red") || !j.has("service.name", "blue") || j.has("service.name", "green") {
		t.Errorf("%v", j)
	}
}
