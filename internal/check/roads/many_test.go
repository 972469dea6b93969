// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// eachOfMany is how many pings go along each road of TestManyPings.
const eachOfMany = 1000

// manyInterval is the time from one of them to the next: ten roads at once keep two slow
// CPUs busy, and no more.
const manyInterval = 12 * time.Millisecond

// manyRoads are ten that every kernel has.
func manyRoads() []string {
	return []string{
		"veth", "bridge", "router", "tap", "macvlan-bridge", "ifb", "vxlan", "bpf-redirect", "userspace-switch", "asymmetric",
	}
}

// TestManyPings sends 10,000 pings along ten roads at once, traced by one agent, and finds
// each in a trace of its own, by address and sequence number, in the OTLP file.
func TestManyPings(t *testing.T) {
	privilegetest.BPF(t)
	var ids atomic.Uint32
	ids.Store(40_000)
	var all []*course
	for _, r := range roads() {
		if !slices.Contains(manyRoads(), r.name) {
			continue
		}
		r.pings = r.pings[len(r.pings)-1:] // of a tap, that of the host
		r.pings[0].n, r.pings[0].send, r.pings[0].want = eachOfMany, slowly, want{}
		c := &course{road: &r, dir: t.TempDir(), ids: &ids}
		all = append(all, c)
		if c.build(context.Background()); c.err != nil {
			t.Fatalf("%s: %v", c.name, c.err)
		}
		t.Cleanup(func() {
			if err := c.w.down(); err != nil {
				t.Error(err)
			}
		})
	}
	if len(all) != len(manyRoads()) {
		t.Fatalf("%d roads, want %d", len(all), len(manyRoads()))
	}
	tr, err := startTracing(t.TempDir(), agent.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	limited(all, len(all), (*course).drive)
	var expected []ping
	for _, c := range all {
		expected = append(expected, c.expected()...)
	}
	tr.await(expected, 30*time.Second)
	trees, err := tr.stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(tr.summary)
	checkMany(t, all, trees)
}

// checkMany looks for each ping in the traces, by the names of the namespaces, the
// addresses, the identifier and the sequence number.
func checkMany(t *testing.T, all []*course, trees []*tree) {
	t.Helper()
	lost, wrong := 0, 0
	for _, c := range all {
		pairs, err := c.w.peers()
		if err != nil {
			t.Fatal(err)
		}
		c.judged(nil, trees, pairs)
		for _, f := range c.judge.faults {
			t.Errorf("%s: %s", c.name, f)
		}
		for _, p := range c.expected() {
			if len(c.judge.traces[p]) == 0 {
				lost++
			}
		}
		for p, found := range c.judge.traces {
			if !slices.Contains(c.expected(), p) || len(found) > 1 {
				wrong += len(found)
			}
		}
	}
	strange := 0
	for _, tree := range trees {
		if !slices.ContainsFunc(all, func(c *course) bool { return c.owns(tree) }) {
			strange++
		}
	}
	t.Logf("%d pings, %d traces, %d lost, %d wrong, %d of more than one road or of none", len(all)*eachOfMany, len(trees), lost, wrong, strange)
	if lost+wrong+strange > 0 {
		t.Fail()
	}
}

// owns reports whether every span of a trace is of the road.
func (c *course) owns(t *tree) bool {
	return !slices.ContainsFunc(t.spans, func(s *span) bool { return !strings.HasPrefix(s.netns, c.w.prefix) })
}

// slowly sends as iputils does.
func slowly(w *world, from *space, to netip.Addr, id uint16, n int) (int, error) {
	r, err := pinger.Run(w.ctx, pinger.Config{
		NetNS: from.NS, Target: to, Count: n, Interval: manyInterval, ID: id, Timeout: 5 * time.Second,
	})
	if err != nil {
		return 0, err
	}
	return r.Received() + r.Duplicates(), nil
}
