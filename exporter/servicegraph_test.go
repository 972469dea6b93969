// SPDX-License-Identifier: Apache-2.0

package exporter_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/check/collectortest"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// TestCollectorDrawsTheWayBetweenHosts: two agents, each with a hypervisor, send what they saw of
// the same pings, and the connector draws the edge from one to the other.
func TestCollectorDrawsTheWayBetweenHosts(t *testing.T) {
	c := collectortest.Start(t)
	const pings = 10
	var here, there []*trace.Trace
	for seq := range uint16(pings) {
		sender, other := tracetest.Beyond(seq), tracetest.Elsewhere(seq)
		for i := range sender.Spans {
			if sender.Spans[i].Kind == trace.KindBeyond {
				other.RemoteTurn = sender.Spans[i].ID
			}
		}
		other.ID, other.Remote = sender.ID, sender.Root().ID
		for i := range other.Spans {
			s := &other.Spans[i]
			s.NetNS, s.ID[0] = &trace.NetNS{Inode: 7, Name: "other hypervisor", Hypervisor: true}, s.ID[0]^0xff
		}
		here, there = append(here, sender), append(there, other)
	}
	for _, traces := range [][]*trace.Trace{here, there} {
		o := acceptance
		o.Graph = true
		e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: c.GRPC, OTLP: o})
		if err != nil {
			t.Fatal(err)
		}
		exportAll(t, e, traces)
	}
	edges := c.StopGraph(t)
	for _, want := range []collectortest.Edge{
		{Client: tracetest.Guest.Name, Server: tracetest.Hypervisor.Name}, {Client: tracetest.Hypervisor.Name, Server: "other hypervisor"},
	} {
		if edges[want] != pings {
			t.Errorf("%+v: %d requests of %d; all: %v", want, edges[want], pings, edges)
		}
	}
}

// TestCollectorDrawsTheGraph sends pings to a real Collector, whose service graph
// connector must draw the way of the requests: from the guest to the hypervisor, and from there
// to who answers. Of those that went elsewhere or died it sees the way as far as it is known.
func TestCollectorDrawsTheGraph(t *testing.T) {
	c := collectortest.Start(t)
	o := acceptance
	o.Graph = true
	e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: c.GRPC, OTLP: o})
	if err != nil {
		t.Fatal(err)
	}
	const answered, others = 20, 3
	traces := []*trace.Trace{tracetest.Beyond(101), tracetest.Dropped(102), tracetest.NoReply(103)}
	for seq := range uint16(answered) {
		traces = append(traces, tracetest.Complete(seq))
	}
	exportAll(t, e, traces)
	guest, hypervisor, outside := tracetest.Guest.Name, tracetest.Hypervisor.Name, tracetest.Outside.Name
	want := map[collectortest.Edge]int64{
		{Client: guest, Server: hypervisor}:   answered + others,
		{Client: hypervisor, Server: outside}: answered,
	}
	if diff := cmp.Diff(want, c.StopGraph(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
