// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tenancy

import (
	"bytes"
	"context"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/exporter/view"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/recording"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
	"github.com/dwelltrace/dwell/internal/tenant"
)

var (
	record = flag.Bool("record", false, "record the pings of the golden test anew")
	update = flag.Bool("update", false, "write the golden files")
)

// recorded has a ping from red to blue, and one from red to the outside.
const recorded = "testdata/tenants.rec"

// labTenants returns the tenants of the lab.
func labTenants(t *testing.T) *tenant.Set {
	t.Helper()
	prefix := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24")}
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Bridges: []string{"br-red"}, Prefixes: prefix},
		{ID: "blue", Bridges: []string{"br-blue"}, Prefixes: prefix},
	}, nil, []string{"ens3"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestViewsOfOneTrace compares what operator, red and blue see of a ping, as files that could be
// sent to a backend, and as waterfalls for whoever reads them. What is recorded needs no kernel.
func TestViewsOfOneTrace(t *testing.T) {
	if *record {
		recordPing(t)
	}
	f, err := os.Open(recorded)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := recording.Open(recorded, f)
	if err != nil {
		t.Fatal(err)
	}
	var traces []*trace.Trace
	if _, err := r.Replay(recording.Sink{Traces: func(list []*trace.Trace) error {
		traces = append(traces, list...)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	names := []string{"to-blue", "to-outside"}
	if len(traces) != len(names) {
		t.Fatalf("the recording has %d traces", len(traces))
	}
	set := labTenants(t)
	for i, name := range names {
		compare(t, name+".operator", traces[i])
		for _, id := range []string{"red", "blue"} {
			v := view.Viewer{Tenant: id, Number: set.Number(id), Foreign: set.Foreign(id), ForeignBridge: set.ForeignBridge(id)}
			if seen := v.Of(traces[i]); seen != nil {
				compare(t, name+"."+id, seen)
			} else if id == "red" || name == "to-blue" {
				t.Errorf("%s sees nothing of the ping %s", id, name)
			}
		}
	}
}

// compare compares a trace with a golden file of OTLP and with one for people.
func compare(t *testing.T, who string, tr *trace.Trace) {
	t.Helper()
	line, err := otlpfile.NewEncoder(otlp.Options{Version: "test", Host: otlp.Host{ID: "0123", Name: "hypervisor1"}}).Append(nil, []*trace.Trace{tr})
	if err != nil {
		t.Fatal(err)
	}
	var drawn bytes.Buffer
	if err := waterfall.Write(&drawn, tr, waterfall.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{who + ".jsonl": line, who + ".txt": drawn.Bytes()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is now\n%s\nand was\n%s", path, got, want)
		}
	}
}

// recordPing records one ping from red to blue in the lab.
func recordPing(t *testing.T) {
	l, err := lab.Up(t.Context(), "tenants", lab.Options{Prefix: "dwell"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Down(context.Background()) }()
	red, err := l.Open(lab.Red)
	if err != nil {
		t.Fatal(err)
	}
	defer red.Close()
	ping := func() {
		for _, to := range []string{"198.51.100.12", "203.0.113.8"} {
			if _, err := pinger.Run(t.Context(), pinger.Config{NetNS: red, Target: netip.MustParseAddr(to), Count: 1}); err != nil {
				t.Error(err)
			}
		}
	}
	ping() // so that the neighbours know each other
	w, err := recording.Create(recorded, recording.Info{Version: "test", HostID: "0123", HostName: "hypervisor1"}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	_, hypervisor := l.NetNS(lab.Hypervisor)
	a, err := agent.Start(agent.Options{
		Scope:   agent.Scope{NetNS: []string{"dwell-tenants-*"}, Hypervisors: []string{hypervisor}},
		Tenants: labTenants(t), Count: 2,
		Open: func() (agent.Sinks, error) { return agent.Sinks{Recording: w}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	go ping()
	if _, err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
