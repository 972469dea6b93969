// SPDX-License-Identifier: Apache-2.0

package tenants_test

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/tenants"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// ovsBridge is the bridge on the way of the pings.
const ovsBridge = "ovs-br"

// taken is a sink that remembers.
type taken map[string][]*trace.Trace

func (s taken) Take(tenant string, views []*trace.Trace) {
	s[tenant] = append(s[tenant], views...)
}

func set(t *testing.T, ids ...string) *tenant.Set {
	t.Helper()
	var all []tenant.Tenant
	for _, id := range ids {
		all = append(all, tenant.Tenant{ID: id, Ports: []string{"port-" + id}})
	}
	s, err := tenant.NewSet(all, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEachTenantGetsItsOwn(t *testing.T) {
	red, blue, nobody := tracetest.Owned(tracetest.Complete(1), "red"), tracetest.Owned(tracetest.Complete(2), "blue"), tracetest.Complete(3)
	first, second := taken{}, taken{}
	r := tenants.New(first, second)
	r.Take([]*trace.Trace{red, blue}) // there are no tenants yet
	r.Set(set(t, "red", "blue"))
	r.Take([]*trace.Trace{red, blue, nobody})
	for _, sink := range []taken{first, second} {
		if len(sink) != 2 || len(sink["red"]) != 1 || len(sink["blue"]) != 1 {
			t.Fatalf("taken: %v", sink)
		}
		if got := sink["red"][0]; got.Ping.Seq != 1 || !slices.Equal(got.Tenants(), []string{"red"}) {
			t.Errorf("red got the ping %v of %v", got.Ping, got.Tenants())
		}
	}
	r.Set(set(t, "blue"))
	r.Take([]*trace.Trace{red, blue})
	if len(first["red"]) != 1 || len(first["blue"]) != 2 {
		t.Errorf("after red is gone, red has %d traces and blue %d", len(first["red"]), len(first["blue"]))
	}
	r.Set(nil)
	r.Take([]*trace.Trace{blue})
	if len(first["blue"]) != 2 {
		t.Error("there are no tenants, and one got a trace")
	}
}

// The name of a bridge is the other tenant's even where a port of it is not.
func TestBridgesOfOthersAreNotNamed(t *testing.T) {
	s, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"port-red"}}, {ID: "blue", Bridges: []string{ovsBridge}},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink := taken{}
	r := tenants.New(sink)
	r.Set(s)
	r.Take([]*trace.Trace{tracetest.Owned(tracetest.Beyond(1), "red")})
	for _, seen := range sink["red"] {
		for i := range seen.Spans {
			if bridge := seen.Spans[i].Bridge(); bridge == ovsBridge {
				t.Errorf("red sees the name of blue's bridge in %v", &seen.Spans[i])
			}
		}
	}
	if len(sink["red"]) == 0 {
		t.Error("red sees nothing")
	}
}
