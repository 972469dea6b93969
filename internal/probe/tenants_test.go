// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// of makes a probe a tenant's.
func of(tenant string, p Probe) Probe {
	p.Tenant = tenant
	return p
}

// A tenant's probe is sent from the tenant's own namespaces only, whatever it names, and not a
// ping later than they are the tenant's.
func TestTenantsProbeFromTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("host", "nobodys")
		w.add("reds", "red")
		w.add("blues", "blue")
		r := begin(t, w, plenty, of("red", gateway("*", "host", "blues")))
		r.after(3 * time.Second)
		if s := r.Stats(); !slices.Equal(r.names(), []string{"reds"}) || s.NotOwned != 3 {
			t.Fatalf("probed from %v: %+v", r.names(), s)
		}
		w.give("reds", "")
		if pings, _ := r.after(3 * time.Second); len(pings) > 0 {
			t.Errorf("%d pings from what is nobody's", len(pings))
		}
		w.give("reds", "blue")
		w.give("nobodys", "red")
		pings, results := r.after(5 * time.Second)
		if !slices.Equal(r.names(), []string{"nobodys"}) || len(pings) == 0 || r.Stats().Skipped == 0 {
			t.Errorf("probed from %v, %d pings, %+v", r.names(), len(pings), r.Stats())
		}
		for _, result := range results {
			if result.Tenant != "red" || result.NetNS == "blues" || result.NetNS == "host" {
				t.Errorf("result %+v", result)
			}
		}
	})
}

// sums returns how many pairs are left out, over a limit and not the tenant's.
func (o *plan) sums() (over, foreign int) {
	for _, left := range o.left {
		over, foreign = over+left.overLimit, foreign+left.notOwned
	}
	return over, foreign
}

// A tenant is told of its own probes, and of nothing that is another's: not of their probes, and
// not whether there is a namespace of a name that is not its own.
func TestStatsOfATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("host")
		w.add("reds", "red")
		w.add("blues", "blue")
		limits := plenty
		limits.Pairs = 2
		operators := gateway("reds", "none")
		reds := of("red", gateway("reds", "blues", "nothing", "*"))
		reds.Targets = []netip.Addr{one, two}
		r := begin(t, w, limits, operators, reds, of("blue", gateway("blues", "reds")))
		r.answers(func(context.Context, ping) (time.Duration, error) { return 0, errors.New("no " + "blue") })
		r.after(3 * time.Second)
		red, blue := r.StatsOf("red"), r.StatsOf("blue")
		if len(red.States) != 1 || red.States[0].Tenant != "red" || red.OverLimit != 1 || red.NotOwned != 0 || red.Skipped != 0 {
			t.Errorf("red: %+v", red)
		}
		if !slices.Equal(red.Unresolved, []string{"red/gateway: blues", "red/gateway: nothing"}) || len(red.Problems) != 1 {
			t.Errorf("red: %+v", red)
		}
		if len(blue.States) != 1 || blue.States[0].NetNS != "blues" || !slices.Equal(blue.Unresolved, []string{"blue/gateway: reds"}) {
			t.Errorf("blue: %+v", blue)
		}
		if none := r.StatsOf("green"); len(none.States)+len(none.Unresolved)+len(none.Problems)+none.OverLimit != 0 {
			t.Errorf("green: %+v", none)
		}
		if all := r.Stats(); len(all.States) != 3 || all.NotOwned != 5 || !slices.Equal(all.Unresolved, []string{"gateway: none", "red/gateway: nothing"}) {
			t.Errorf("all: %+v", all)
		}
	})
}

// The same name, of one tenant, of another and of none, is that of three probes.
func TestNamesOfOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.add("reds", "red")
		w.add("blues", "blue")
		r := begin(t, w, plenty, gateway("reds", "blues"), of("red", gateway("reds")), of("blue", gateway("blues")))
		r.after(2 * time.Second)
		if got := r.Stats().States; len(got) != 4 {
			t.Errorf("states %+v", got)
		}
	})
}

// No plan exceeds a limit, no tenant gets less because of others than its share, and what is left
// out is counted.
func TestLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			Rate:       float64(rapid.IntRange(1, 50).Draw(t, "rate")),
			TenantRate: float64(rapid.IntRange(1, 50).Draw(t, "tenant rate")),
			Pairs:      rapid.IntRange(1, 60).Draw(t, "pairs"),
		}
		tenants := rapid.IntRange(0, 4).Draw(t, "tenants")
		w := newWorld()
		var probes []Probe
		asked := map[string]int{}
		for i := range tenants + 1 {
			id := ""
			if i > 0 {
				id = fmt.Sprint("t", i)
			}
			for n := range rapid.IntRange(0, 3).Draw(t, "probes") {
				p := of(id, gateway(id+"ns"))
				p.Name, p.Interval = fmt.Sprint(n), time.Duration(rapid.IntRange(100, 5000).Draw(t, "interval"))*time.Millisecond
				probes = append(probes, p)
			}
			many := rapid.IntRange(0, 40).Draw(t, "namespaces")
			for range many {
				w.add(id+"ns", id)
			}
			for _, p := range probes {
				if p.Tenant == id {
					asked[id] += many
				}
			}
		}
		plan := makePlan(probes, limits, w)
		rate, pairs := map[string]float64{}, map[string]int{}
		for _, key := range plan.pairs {
			rate[key.Tenant] += float64(time.Second) / float64(key.interval)
			pairs[key.Tenant]++
		}
		total, sum := 0, 0.0
		with := 0
		for id := range limits.budgets(probes) {
			if id != "" {
				with++
			}
		}
		for id, n := range asked {
			total += n
			share, most := limits.Rate, limits.Pairs
			if id != "" {
				most /= with
				share = min(limits.TenantRate, limits.Rate/float64(with))
				sum += rate[id]
			}
			if rate[id] > share+2*rounding || pairs[id] > most {
				t.Errorf("%q sends %v a second to %d, of %v to %d", id, rate[id], pairs[id], share, most)
			}
			if left := n - pairs[id]; left > 0 && rate[id]+10 <= share && pairs[id] < most {
				t.Errorf("%q could send more: %v of %v a second, %d left out", id, rate[id], share, left)
			}
		}
		over, foreign := plan.sums()
		if len(plan.pairs)+over != total || foreign > 0 || sum > limits.Rate+float64(with)*2*rounding {
			t.Errorf("%d planned and %d left out of %d; tenants send %v", len(plan.pairs), over, total, sum)
		}
	})
}

// A target that is written twice is one, for the limits as well.
func TestTargetsCountOnce(t *testing.T) {
	p := gateway("web")
	p.Targets = []netip.Addr{one, one, two, one}
	if plan := makePlan([]Probe{p}, Limits{Rate: 2, TenantRate: 1, Pairs: 2}, newWorld("web")); len(plan.pairs) != 2 || plan.of("").overLimit != 0 {
		t.Errorf("planned %+v, %d left out", plan.pairs, plan.of("").overLimit)
	}
}

// Which pairs are left out does not change from one look to the next.
func TestLimitsAreSteady(t *testing.T) {
	w := newWorld("d", "b", "a", "c", "e")
	first := makePlan([]Probe{gateway("*")}, Limits{Rate: 3, TenantRate: 1, Pairs: 9}, w)
	for range 20 {
		again := makePlan([]Probe{gateway("*")}, Limits{Rate: 3, TenantRate: 1, Pairs: 9}, w)
		if !slices.Equal(first.pairs, again.pairs) || again.of("").overLimit != 2 || again.pairs[0].NetNS != "a" {
			t.Fatalf("planned %+v, then %+v", first.pairs, again.pairs)
		}
	}
}
