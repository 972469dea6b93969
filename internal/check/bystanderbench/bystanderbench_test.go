// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Everything can be measured, each program that packets pass has run beside its empty one, and nothing
// is left.
func TestQuick(t *testing.T) {
	privilegetest.NetNS(t)
	privilegetest.BPF(t)
	var out, progress strings.Builder
	if err := run(t.Context(), []string{"-quick", "-json"}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var r results
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(r.Loads) != len(loads()) {
		t.Fatalf("%d kinds of traffic, want %d", len(r.Loads), len(loads()))
	}
	for _, l := range r.Loads {
		if len(l.Traced) != 1 || len(l.Untraced) != 1 || len(l.Empty) != 1 || l.Traced[0] <= 0 || l.Untraced[0] <= 0 || l.Empty[0] <= 0 {
			t.Errorf("%s: rates %v, %v and %v", l.Name, l.Untraced, l.Empty, l.Traced)
		}
		for _, h := range l.Hooks {
			switch h.Hook {
			case "net_dev_queue", "net_dev_start_xmit", "net_dev_xmit", "netif_rx", "netif_receive_skb":
				if h.Runs == 0 || h.Each <= 0 || h.Empty <= 0 {
					t.Errorf("%s: %+v", l.Name, h)
				}
			}
		}
	}
	names, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name.Name(), labPrefix()) {
			t.Errorf("namespace %s is left", name.Name())
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := &results{Kernel: "Linux 6.18", Pairs: 3, Loads: []*result{{
		Name: "UDP", Unit: "packets", Untraced: []float64{100, 200, 100}, Empty: []float64{98, 200, 99}, Traced: []float64{90, 200, 96}, Runs: 1000, Echoes: 14,
		Hooks: []hookResult{
			{Hook: "netif_rx", Runs: 900, Each: 60, Empty: 50},
			{Hook: "net_dev_queue", Runs: 100, Each: 71, Empty: 50},
			{Hook: "kfree_skb", Runs: 5, Each: 300, Empty: 50},
		},
	}}}
	var out strings.Builder
	if err := r.write(&out); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); len(fields) > 0 {
			got = append(got, fields)
		}
	}
	want := [][]string{
		strings.Fields("Linux 6.18. Medians (first to third quartile) of 3 rounds. Rates are by a second of CPU time."),
		strings.Fields("traffic unit untraced traced ratio goal reached ratio with empty programs"),
		strings.Fields("UDP packets 100 96 0.960 (0.900–1.000) ≥ 0.95 yes 0.990 (0.980–1.000)"),
		strings.Fields("traffic hook empty program, ns dwell's, ns more goal reached"),
		strings.Fields("UDP netif_rx 50 60 10.0 ≤ 20 yes"),
		strings.Fields("UDP net_dev_queue 50 71 21.0 ≤ 20 no"),
		strings.Fields("UDP: somebody pinged meanwhile. 1 % of the runs were of echoes, which cost more; the nanoseconds are of no use."),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-pairs 0", "-requests 0", "-length 0s", "-nonsense"} {
		if cfg, err := parseFlags(strings.Fields(args), &strings.Builder{}); err == nil {
			t.Errorf("%s: %+v, want an error", args, cfg)
		}
	}
}
