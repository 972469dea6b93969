// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A namespace that goes takes its pings with it, at once, and one that comes back is pinged
// from again.
func TestNamespaceComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld(), plenty, gateway("web"))
		if pings, _ := r.after(3 * time.Second); len(pings) > 0 || !slices.Equal(r.Stats().Unresolved, []string{"gateway: web"}) {
			t.Fatalf("before: %d pings, %+v", len(pings), r.Stats())
		}
		for range 3 {
			r.world.add("web", "")
			if pings, _ := r.after(5 * time.Second); len(pings) < 4 || len(r.Stats().Unresolved) > 0 {
				t.Fatalf("there: %d pings, %+v", len(pings), r.Stats())
			}
			r.answers(func(ctx context.Context, _ ping) (time.Duration, error) { <-ctx.Done(); return 0, ctx.Err() })
			r.after(time.Second)
			r.world.remove("web")
			r.answers(func(context.Context, ping) (time.Duration, error) { return time.Millisecond, nil })
			r.after(replan)
			if pings, _ := r.after(5 * time.Second); len(pings) > 0 || len(r.Stats().States) > 0 {
				t.Fatalf("gone: %d pings, %+v", len(pings), r.Stats())
			}
		}
		if _, results := r.after(time.Minute); len(results) > 0 {
			t.Errorf("results without pings: %+v", results)
		}
	})
}

// What is gone when its ping is due is skipped, and counted.
func TestGoneWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := gateway("web")
		p.Interval = 100 * time.Millisecond
		r := begin(t, newWorld("web"), plenty, p)
		r.after(2*replan + 10*time.Millisecond)
		r.world.remove("web")
		if pings, _ := r.after(500 * time.Millisecond); len(pings) > 0 || r.Stats().Skipped == 0 {
			t.Errorf("%d pings, %d skipped", len(pings), r.Stats().Skipped)
		}
	})
}

// Nothing is sent from another namespace that has the inode number of one that is gone.
func TestReusedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := gateway("web")
		p.Interval = 100 * time.Millisecond
		r := begin(t, newWorld("web"), plenty, p)
		r.after(2*replan + 10*time.Millisecond)
		r.world.replace("web", "of somebody else")
		if pings, _ := r.after(500 * time.Millisecond); len(pings) > 0 || r.Stats().Skipped == 0 {
			t.Errorf("%d pings, %d skipped", len(pings), r.Stats().Skipped)
		}
		r.world.replace("of somebody else", "web")
		if pings, _ := r.after(replan + time.Second); len(pings) == 0 {
			t.Error("no pings from the namespace that has the name again")
		}
	})
}

// A machine that stands still is not made up for: what was missed is counted.
func TestLateProbesAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld("web"), plenty, gateway("web"))
		r.answers(func(context.Context, ping) (time.Duration, error) {
			<-time.After(5500 * time.Millisecond)
			return 0, errLost
		})
		r.after(time.Second)
		r.answers(func(context.Context, ping) (time.Duration, error) { return time.Millisecond, nil })
		pings, _ := r.after(10 * time.Second)
		if n := r.Stats().Skipped; n != 4 || len(pings) != 6 {
			t.Errorf("%d pings, %d skipped", len(pings), n)
		}
	})
}

// A change of the probes does not disturb what stays.
func TestSetLeavesAloneWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stays, goes := gateway("web"), gateway("web")
		goes.Name, goes.Targets = "goes", []netip.Addr{two}
		r := begin(t, newWorld("web"), plenty, stays, goes)
		before, _ := r.after(3 * time.Second)
		for i := range 4 {
			changed := goes
			changed.Size += i
			comes := gateway("web")
			comes.Name, comes.Targets = "comes", []netip.Addr{netip.MustParseAddr("192.0.2.3")}
			r.Set([]Probe{comes, changed, stays}, plenty)
			pings, _ := r.after(3 * time.Second)
			ids := map[uint16]bool{}
			sizes := map[int]bool{}
			for _, p := range slices.Concat(before, pings) {
				if p.target == one {
					ids[p.id] = true
				}
			}
			for _, p := range pings {
				if p.target == two {
					sizes[len(p.payload)] = true
				}
			}
			if len(ids) != 1 {
				t.Errorf("what stays has begun anew: %d identifiers", len(ids))
			}
			if !sizes[changed.Size] || !slices.Contains(targetsOf(pings), "192.0.2.3") || len(r.Stats().States) != 3 {
				t.Errorf("sizes %v, targets %v", sizes, targetsOf(pings))
			}
		}
		r.Set([]Probe{stays}, plenty)
		r.after(0)
		if pings, _ := r.after(3 * time.Second); !slices.Equal(targetsOf(pings), []string{"192.0.2.1"}) {
			t.Errorf("removed, but pinged: %v", targetsOf(pings))
		}
	})
}

// Two namespaces with one name have one state, the worse.
func TestTwoNamespacesWithOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newWorld("web", "web"), plenty, gateway("web"))
		var first uint16
		r.answers(func(_ context.Context, p ping) (time.Duration, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if first == 0 {
				first = p.id
			}
			if p.id == first {
				return 0, errLost
			}
			return time.Millisecond, nil
		})
		pings, _ := r.after(3 * time.Second)
		if s := r.Stats(); len(s.States) != 1 || s.States[0].Last != Lost || len(pings) != 6 {
			t.Errorf("%d pings, %+v", len(pings), s)
		}
	})
}
