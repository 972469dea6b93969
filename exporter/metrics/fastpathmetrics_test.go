// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// someFastPath has something of everything.
func someFastPath() *FastPath {
	return &FastPath{
		Supported: true, Attended: true, Held: true, HeldTime: 1500 * time.Millisecond, Changes: map[string]uint64{"rules": 2, "all": 3},
		Unasked: 4, Blocked: 5, Unattached: 6, Problems: 7,
		Swept: 22, Unwatched: 23, Nobody: map[string]uint64{"unknown": 24}, NobodyUnlearnt: map[string]uint64{"differs": 25},
		Tenants: []TenantFastPath{{Tenant: "blue"}, {
			Tenant: "red", On: true, Flows: 8, Capacity: 16384, Approved: 9, PutOff: 10, Refused: map[string]uint64{"forbidden": 11},
			From: FastPathCounts{Fast: 12, Bytes: 1008, Slow: map[string]uint64{"lease": 13, "vlan": 0}, Unlearnt: map[string]uint64{"state": 14}, Same: 15, Learnt: 16},
			To:   FastPathCounts{Fast: 17, Bytes: 1428, Slow: map[string]uint64{"fragment": 18}, Same: 19, Differ: 20, Learnt: 21},
		}},
	}
}

func TestFastPathMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{}, func() AgentStats { return AgentStats{FastPath: someFastPath()} }))
	const red = "dwell_tenant_id=red"
	from := func(more string) string { return "dwell_fastpath_direction=from" + more + " " + red }
	to := func(more string) string { return "dwell_fastpath_direction=to" + more + " " + red }
	for family, want := range map[string]map[string]float64{
		"dwell_fastpath_packets_total": {
			from(" dwell_fastpath_path=fast dwell_fastpath_reason=fast"): 12, from(" dwell_fastpath_path=slow dwell_fastpath_reason=lease"): 13,
			to(" dwell_fastpath_path=fast dwell_fastpath_reason=fast"): 17, to(" dwell_fastpath_path=slow dwell_fastpath_reason=fragment"): 18,
		},
		"dwell_fastpath_bytes_total":                 {from(""): 1008, to(""): 1428},
		"dwell_fastpath_compared_total":              {from("") + " result=same": 15, to("") + " result=same": 19, to("") + " result=differ": 20},
		"dwell_fastpath_learnt_total":                {from(""): 16, to(""): 21},
		"dwell_fastpath_unlearnt_total":              {from(" dwell_fastpath_reason=state"): 14},
		"dwell_fastpath_on":                          {red: 1},
		"dwell_fastpath_flows":                       {red: 8},
		"dwell_fastpath_flows_limit":                 {red: 16384},
		"dwell_fastpath_approved_total":              {red: 9},
		"dwell_fastpath_refused_total":               {"dwell_fastpath_reason=forbidden " + red: 11},
		"dwell_fastpath_put_off_total":               {red: 10},
		"dwell_fastpath_supported":                   {"": 1},
		"dwell_fastpath_attended":                    {"": 1},
		"dwell_fastpath_held":                        {"": 1},
		"dwell_fastpath_held_duration_seconds_total": {"": 1.5},
		"dwell_fastpath_changes_total":               {"reason=rules": 2, "reason=all": 3},
		"dwell_fastpath_unasked_total":               {"": 4},
		"dwell_fastpath_swept_total":                 {"": 22},
		"dwell_fastpath_unwatched_total":             {"": 23},
		"dwell_fastpath_nobody_total":                {"dwell_fastpath_reason=unknown": 24},
		"dwell_fastpath_nobody_unlearnt_total":       {"dwell_fastpath_reason=differs": 25},
		"dwell_fastpath_devices_blocked":             {"": 5},
		"dwell_fastpath_devices_unattached":          {"": 6},
		"dwell_fastpath_problems":                    {"": 7},
	} {
		if diff := cmp.Diff(want, notZero(values(t, registry, family))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", family, diff)
		}
	}
	// That nothing differs is worth a series: a counter that only appears when it is 1 has not
	// increased.
	all := values(t, registry, "dwell_fastpath_compared_total")
	if n, there := all[from("")+" result=differ"]; !there || n != 0 {
		t.Errorf("no 0 of packets that differ: %v", all)
	}
}

// A host on which no tenant has a fast path has no series of it, so that no alert says that nobody
// attends to it.
func TestNoFastPathHasNoMetrics(t *testing.T) {
	for _, f := range everything(t, zero) {
		if strings.HasPrefix(f.GetName(), "dwell_fastpath_") {
			t.Errorf("there is %s", f.GetName())
		}
	}
}
