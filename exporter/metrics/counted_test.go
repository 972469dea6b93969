// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// sums returns the sums in nanoseconds by dwell_parent_kind.
func sums(t testing.TB, traces ...*trace.Trace) map[string]int64 {
	t.Helper()
	r, g := newRecorder(t, Options{})
	for _, tr := range traces {
		r.Record(tr, false)
	}
	byParent := map[string]int64{}
	for _, m := range gather(t, g, deviceFamily) {
		byParent[label(m, "dwell_parent_kind")] += nanoseconds(m)
	}
	return byParent
}

// anyLeaf and anyPart draw spans, parts of spans included.
func anyLeaf(r *rapid.T, from, to trace.Kind) node {
	kind := trace.Kind(rapid.IntRange(int(from), int(to)).Draw(r, "kind"))
	d := rapid.SampledFrom([]*trace.Device{guestEnd, port, bridge, uplink}).Draw(r, "device")
	return leaf(kind, d, rapid.Int64Range(0, 1e6).Draw(r, "ns"))
}

func anyPart(r *rapid.T, depth int) node {
	n := anyLeaf(r, trace.KindDevice, trace.KindSocket)
	if depth > 0 && rapid.Bool().Draw(r, "has parts") {
		n.ns = 0
		for range rapid.IntRange(1, 4).Draw(r, "parts") {
			n.children = append(n.children, anyPart(r, depth-1))
		}
	}
	return n
}

func anyJourney(r *rapid.T, k trace.Kind) node {
	j := parent(k, guestEnd)
	for range rapid.IntRange(1, 6).Draw(r, "hops") {
		j.children = append(j.children, anyPart(r, 2))
	}
	return j
}

// TestNoNanosecondTwice holds, for any tree whose spans tile their parents: hops add up
// to the journeys, and so do what is within each kind of span and these spans.
func TestNoNanosecondTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		children := []node{anyJourney(r, trace.KindRequest)}
		if rapid.Bool().Draw(r, "beyond") {
			children = append(children, anyLeaf(r, trace.KindBeyond, trace.KindRespond))
		}
		for range rapid.IntRange(0, 2).Draw(r, "replies") {
			children = append(children, anyJourney(r, trace.KindReply))
		}
		tr := grow(trace.Complete, children...)
		want := map[string]int64{}
		for _, s := range tr.Spans {
			switch {
			case s.Kind.Journey():
				want[""] += s.Duration()
				want["ping"] -= s.Duration()
			case !s.Leaf:
				want[s.Kind.String()] += s.Duration()
			}
		}
		got := sums(t, tr)
		for kind, ns := range want {
			if got[kind] != ns {
				r.Errorf("within %q: %d ns were counted, want %d", kind, got[kind], ns)
			}
			delete(got, kind)
		}
		if len(got) > 0 {
			r.Errorf("counted beside: %v", got)
		}
	})
}

func TestCountedSpans(t *testing.T) {
	tr := thirty()
	r, g := newRecorder(t, Options{})
	r.Record(tr, false)
	got := map[string]float64{}
	for _, m := range gather(t, g, deviceFamily) {
		if label(m, "dwell_direction") == "request" && label(m, "dwell_netns_role") == "hypervisor" {
			got[label(m, "dwell_parent_kind")+" / "+label(m, "dwell_kind")] += float64(m.Histogram.GetSampleCount())
		}
	}
	want := map[string]float64{
		" / bridge": 1, "bridge / softirq wait": 1, "bridge / stack": 1,
		" / hypervisor": 1, "hypervisor / forward": 1, "hypervisor / transmit": 1, "hypervisor / driver": 1,
		"forward / receive": 1, "forward / netfilter prerouting": 1, "forward / routing": 1,
		"forward / netfilter forward": 1, "forward / outgoing": 1, "forward / netfilter postrouting": 1, "forward / neighbour": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parent kind / kind (-want +got):\n%s", diff)
	}
}

func TestSpanInWhichThePacketDied(t *testing.T) {
	tr := grow(trace.Dropped, parent(trace.KindRequest, guestEnd,
		leaf(trace.KindTransmit, guestEnd, 400),
		parent(trace.KindHypervisor, bridge,
			parent(trace.KindForward, bridge, leaf(trace.KindPrerouting, bridge, 700), leaf(trace.KindForwardChain, bridge, 50)))))
	for i := range tr.Spans { // as the correlator marks them
		if k := tr.Spans[i].Kind; k != trace.KindTransmit && k != trace.KindPrerouting {
			tr.Spans[i].Error = "NETFILTER_DROP"
		}
	}
	want := map[string]int64{"": 400, "forward": 700}
	if diff := cmp.Diff(want, sums(t, tr)); diff != "" {
		t.Errorf("ns by parent kind (-want +got):\n%s", diff)
	}
}

func TestSpanOfWhichTheEndWasNotSeen(t *testing.T) {
	prerouting, routing := leaf(trace.KindPrerouting, bridge, 700), leaf(trace.KindRouting, bridge, 50)
	transmit := leaf(trace.KindTransmit, guestEnd, 400)
	for name, test := range map[string]struct {
		journeys []node
		want     map[string]int64
	}{
		"last seen in the hypervisor": {
			[]node{cut(parent(trace.KindRequest, guestEnd, transmit,
				cut(parent(trace.KindHypervisor, bridge, cut(parent(trace.KindForward, bridge, prerouting, cut(routing)))))))},
			map[string]int64{"": 400, "forward": 700},
		},
		"left the host": {
			[]node{parent(trace.KindRequest, guestEnd, transmit,
				parent(trace.KindHypervisor, bridge, parent(trace.KindForward, bridge, prerouting, routing), leaf(trace.KindDriver, uplink, 90)))},
			map[string]int64{"": 1240, "hypervisor": 840, "forward": 750},
		},
		"taken by a process, reply lost": {
			[]node{
				parent(trace.KindRequest, guestEnd, transmit, parent(trace.KindDeliver, guestEnd,
					leaf(trace.KindSoftirq, guestEnd, 60), leaf(trace.KindStack, guestEnd, 40))),
				leaf(trace.KindRespond, guestEnd, 5000),
				cut(parent(trace.KindReply, guestEnd, transmit, cut(leaf(trace.KindLink, guestEnd, 3000)))),
			},
			map[string]int64{"": 900, "deliver": 100, "ping": 5000},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := grow(trace.Incomplete, test.journeys...)
			if diff := cmp.Diff(test.want, sums(t, tr)); diff != "" {
				t.Errorf("ns by parent kind (-want +got):\n%s", diff)
			}
		})
	}
}

// A bound of a bucket is in the bucket.
func TestBoundsAreExact(t *testing.T) {
	bounds := DefaultBuckets()
	for i, ns := range []int64{
		500, 1e3, 2e3, 5e3, 10e3, 20e3, 50e3, 100e3, 200e3, 500e3,
		1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9,
	} {
		if got := bucket(bounds, seconds(ns)); got != i {
			t.Errorf("%d ns is in bucket %d, want %d", ns, got, i)
		}
		if got := bucket(bounds, seconds(ns+1)); got != i+1 {
			t.Errorf("%d ns is in bucket %d, want %d", ns+1, got, i+1)
		}
	}
}
