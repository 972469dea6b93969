// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/sampling"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

func threshold(t *testing.T, ratio float64) uint64 {
	t.Helper()
	th, err := sampling.Options{Ratio: ratio}.Threshold()
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// journeys makes pings of all kinds whose identity is what the packet says: bare, in a tunnel, with
// NAT, and such that an ICMP error answers or that are dropped.
type journeys struct {
	labs []*lab.Lab
	// count is how many pings of each kind there are.
	count int
}

func newJourneys(t *testing.T, count int) *journeys {
	t.Helper()
	j := &journeys{count: count}
	for _, topology := range []string{"bridge", "routed", "vxlan"} {
		j.labs = append(j.labs, up(t, topology))
	}
	return j
}

func (j *journeys) inodes(roles ...string) (all []uint32) {
	for _, l := range j.labs {
		all = append(all, inodes(l, roles...)...)
	}
	return all
}

// ping sends them, and returns when they are over.
func (j *journeys) ping(t *testing.T) {
	t.Helper()
	for _, l := range j.labs {
		for _, target := range targets(l) {
			if r := ping(t, l, pinger.Config{Target: target, Count: j.count, Flood: true}); r.Lost() > 0 {
				t.Errorf("%s: %d of %d lost", target, r.Lost(), j.count)
			}
		}
	}
	routed := j.labs[1]
	guest := at(t, routed, lab.Guest)
	for _, role := range routed.Topology().Roles() {
		at(t, routed, role).sysctl("ipv4/icmp_ratelimit", "0")
		at(t, routed, role).sysctl("ipv6/icmp/ratelimit", "0")
	}
	for _, target := range targets(routed) {
		conn := guest.deaf(target.Is6())
		for seq := range j.count { // whose time to live runs out
			err := guest.write(conn, echo{target: target, id: 99, seq: seq, payload: clockPayload(56), ttl: 1})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	// One more that all see whatever they sample, after all others.
	ping(t, j.labs[0], pinger.Config{Target: j.labs[0].Target(false), Count: 1, ID: lastID})
}

const lastID = 65535

// sampler is an agent beside others.
type sampler struct {
	agent  *agent.Agent
	traces []*trace.Trace
	sum    agent.Summary
	end    func()
}

// watch starts an agent that traces the journeys with a threshold, where they pass some namespaces.
func (j *journeys) watch(t *testing.T, threshold uint64, netns ...uint32) *sampler {
	t.Helper()
	return j.start(t, agent.Options{Threshold: threshold, Timeout: unhurried}, netns...)
}

func (j *journeys) start(t *testing.T, opts agent.Options, netns ...uint32) *sampler {
	t.Helper()
	s, before := &sampler{}, opts.OnTrace
	opts.OnTrace = func(tr *trace.Trace) {
		s.traces = append(s.traces, tr)
		if before != nil {
			before(tr)
		}
	}
	opts.Filter.NetNS, opts.Hypervisors = netns, j.inodes(lab.Hypervisor)
	a, err := start(opts)
	privilegetest.Kernel(t, err)
	s.agent = a
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	runs.Go(func() { s.sum, err = a.Run(ctx) })
	s.end = sync.OnceFunc(func() {
		cancel()
		runs.Wait()
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.end)
	return s
}

// identity is what all agents know of a ping.
func identity(tr *trace.Trace) string { return fmt.Sprintf("%d: %014x", tr.Ping.Seq, tr.Randomness()) }

// chosen returns what an exporter with a ratio keeps of the traces, by ID and outcome.
func chosen(t *testing.T, traces []*trace.Trace, ratio float64) map[string]bool {
	t.Helper()
	th := threshold(t, ratio)
	ids := map[string]bool{}
	for _, tr := range traces {
		if tr.Randomness() >= th {
			ids[identity(tr)+" "+tr.Outcome.String()] = true
		}
	}
	return ids
}

// What the kernel side chooses is what an exporter with the same ratio chooses of all pings, of each
// kind, and whole; and so it is on another host, which sees other parts of the journeys.
func TestKernelChoosesAsExporter(t *testing.T) {
	for _, ratio := range []float64{0.01, 0.1, 0.5} {
		t.Run(fmt.Sprint(ratio), func(t *testing.T) {
			j := newJourneys(t, 300)
			hosts := [][]uint32{j.inodes(), j.inodes(lab.Hypervisor)}
			var all, some [2]*sampler
			for i, netns := range hosts {
				all[i], some[i] = j.watch(t, 0, netns...), j.watch(t, threshold(t, ratio), netns...)
			}
			j.ping(t)
			for i := range hosts {
				all[i].end()
				some[i].end()
				checkChosen(t, all[i], some[i], ratio)
			}
			if sum := all[0].sum; sum.Lost() > 0 || sum.Other[trace.Expired] == 0 || len(sum.Dropped) == 0 {
				t.Errorf("not all kinds are there: %s", sum)
			}
		})
	}
}

// checkChosen compares an agent that samples in the kernel with one that does not.
func checkChosen(t *testing.T, all, some *sampler, ratio float64) {
	t.Helper()
	want, got := chosen(t, all.traces, ratio), chosen(t, some.traces, 1)
	if diff := cmp.Diff(want, got); diff != "" || len(some.traces) != len(got) {
		t.Errorf("%d traces, chosen (-exporter +kernel):\n%s", len(some.traces), diff)
	}
	for _, tr := range some.traces {
		if tr.Threshold != threshold(t, ratio) {
			t.Errorf("%s has passed %#x", tr.Ping, tr.Threshold)
		}
	}
	if n := some.sum.Incomplete; len(n) > 0 {
		t.Errorf("incomplete: %v", n)
	}
	events := all.sum.Kernel.Total().Emitted
	if sum := some.sum.Kernel.Total(); sum.Emitted+sum.SampledOut < events || sum.Gated > 0 {
		t.Errorf("%d events were recorded, %d sampled out and %d gated, of %d", sum.Emitted, sum.SampledOut, sum.Gated, events)
	}
	// Each packet that died of a ping that was left out is counted.
	var died map[string]uint64
	for _, tr := range all.traces {
		if reason := deathOf(tr); reason != "" && tr.Randomness() < threshold(t, ratio) {
			if died == nil {
				died = map[string]uint64{}
			}
			died[reason]++
		}
	}
	if diff := cmp.Diff(died, some.sum.LeftDrops); diff != "" {
		t.Errorf("dropped of those left out (-want +got):\n%s", diff)
	}
	t.Logf("%d of %d\n%s\n%s", len(got), len(all.traces), all.sum, some.sum)
}

// deathOf returns of what reason a packet of the ping died, or "".
func deathOf(tr *trace.Trace) string {
	for i := range tr.Spans {
		for _, e := range tr.Spans[i].Events {
			for _, a := range e.Attrs {
				if e.Name == trace.EventDrop && a.Key == trace.AttrDropReason {
					return a.Str
				}
			}
		}
	}
	return ""
}

// A ratio that is changed while there is traffic leaves no ping in part, and each says what it has
// passed.
func TestSamplingIsChangedUnderTraffic(t *testing.T) {
	j := &journeys{labs: []*lab.Lab{up(t, "bridge")}}
	latest := make(chan uint64, 1)
	s := j.start(t, agent.Options{
		Threshold: threshold(t, 0.5), MaxRate: agent.NoGate, Timeout: patience, OnTrace: func(tr *trace.Trace) { offer(latest, tr.Threshold) },
	}, j.inodes()...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pings sync.WaitGroup
	for range 2 {
		pings.Go(func() { pingUntil(ctx, t, j.labs[0], pinger.Config{Flood: true}) })
	}
	// Each is followed by pings that have passed it: at once where fewer pass, and otherwise when those
	// are over that were under way. What is between two such is changed while the last still matters.
	for _, ratios := range [][]float64{{0.01}, {0.3, 0.05, 1}, {0.1}, {0.01, 0.5}} {
		for _, ratio := range ratios {
			if err := s.agent.SetSampling(threshold(t, ratio)); err != nil {
				t.Fatal(err)
			}
		}
		settled(t, latest, threshold(t, ratios[len(ratios)-1]))
	}
	cancel()
	pings.Wait()
	s.end()
	for _, tr := range s.traces {
		if tr.Randomness() < tr.Threshold {
			t.Errorf("%s: %#x has not passed %#x", tr.Ping, tr.Randomness(), tr.Threshold)
		}
	}
	// In the end the pingers' sockets go, maybe before the last replies come.
	atTheEnd := s.sum.Dropped["NO_SOCKET"] + s.sum.Dropped["QUEUE_PURGE"]
	if len(s.sum.Incomplete) > 0 || atTheEnd > 2 || s.sum.Complete+atTheEnd != s.sum.Pings() || s.sum.Losses().RingFull > 0 {
		t.Errorf("%s", s.sum)
	}
	for reason := range s.sum.LeftDrops {
		if reason != "QUEUE_PURGE" { // of the pingers' sockets, in the end
			t.Errorf("all were answered, and there are drops: %v", s.sum.LeftDrops)
		}
	}
	if s.sum.SampledOut.Traces+s.sum.SampledOut.Events == 0 || s.sum.Gated != (agent.LeftOut{}) {
		t.Errorf("of pings that were under way nothing was left out: %+v; %+v", s.sum.SampledOut, s.sum.Gated)
	}
	t.Logf("%s", s.sum)
}

// patience is how long to wait for a ping that must not take long.
const patience = 3 * time.Second

// offer puts a value into a channel of one in place of what nobody has taken.
func offer(ch chan uint64, value uint64) {
	select {
	case <-ch:
	default:
	}
	ch <- value
}

// settled waits until the latest trace has passed a threshold and no higher one.
func settled(t *testing.T, latest <-chan uint64, threshold uint64) {
	t.Helper()
	over := time.After(unhurried)
	for passed := uint64(math.MaxUint64); passed != threshold; {
		select {
		case passed = <-latest:
		case <-over:
			t.Fatalf("the last ping has passed %#x, and %#x is in force", passed, threshold)
		}
	}
}
