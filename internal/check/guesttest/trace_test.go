// SPDX-License-Identifier: Apache-2.0

//go:build amd64

package guesttest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// pings is how many the guest sends, and how many it is sent.
const pings = 10

// TestGuest has a guest ping the outside, and be pinged.
func TestGuest(t *testing.T) {
	privilegetest.BPF(t)
	n := connect(t)
	g := boot(t, n.tap)
	if err := g.wait(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	// Until neighbours are known.
	if err := g.run(t.Context(), fmt.Sprintf("until ping -c 1 -W 1 %s; do :; done", outsideAddr)); err != nil {
		t.Fatal(err)
	}
	seen := n.trace(t, func() {
		if err := g.run(t.Context(), fmt.Sprintf("ping -c %d -i 0.1 -W 60 %s", pings, outsideAddr)); err != nil {
			t.Error(err)
		}
		n.pingGuest(t)
	})
	var fromGuest, toGuest int
	for _, tr := range seen.traces {
		switch tr.Ping.Src.String() {
		case guestAddr:
			fromGuest++
			seen.check(t, tr, trace.KindRequest)
		case outsideAddr:
			toGuest++
			seen.check(t, tr, trace.KindReply)
			if !slices.ContainsFunc(tr.Spans, func(s trace.Span) bool { return s.Name() == "beyond tap0" }) {
				t.Errorf("%s: no beyond tap0 in %v", tr.Ping, names(tr))
			}
		default:
			t.Errorf("%s: nobody sent this", tr.Ping)
		}
	}
	if fromGuest != pings || toGuest != pings {
		t.Errorf("%d traces of pings of the guest and %d of pings of it, want %d each", fromGuest, toGuest, pings)
	}
}

// pingGuest pings the guest from the outside.
func (n *network) pingGuest(t *testing.T) {
	t.Helper()
	r, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: n.outside, Target: netip.MustParseAddr(guestAddr), Count: pings, Interval: 50 * time.Millisecond, Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Received() != pings || r.Duplicates() != 0 {
		t.Errorf("the guest answered %d of %d, %d twice", r.Received(), pings, r.Duplicates())
	}
}

// traced is what the agent saw.
type traced struct {
	traces []*trace.Trace
	// first is the first event of each packet.
	first    map[packet]event.Event
	tapIndex uint32
	hv       uint32 // inode number of the namespace
}

// packet says which one of a ping.
type packet struct {
	seq  uint16
	src  netip.Addr
	kind event.Type
}

// trace runs an agent while do pings.
func (n *network) trace(t *testing.T, do func()) *traced {
	t.Helper()
	seen := &traced{first: map[packet]event.Event{}, tapIndex: n.tapIndex, hv: n.hypervisor.Inode()}
	a, err := agent.Start(agent.Options{
		Filter:      bpf.Filter{NetNS: []uint32{n.hypervisor.Inode(), n.outside.Inode()}},
		Hypervisors: []uint32{n.hypervisor.Inode()},
		Timeout:     patience,
		OnTrace:     func(tr *trace.Trace) { seen.traces = append(seen.traces, tr) },
		OnEvent: func(e *event.Event) {
			p := packet{e.Seq, e.Src.Addr(), e.Type}
			if f, ok := seen.first[p]; !ok || e.Time < f.Time {
				seen.first[p] = *e
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := a.Run(ctx)
		done <- err
	}()
	func() {
		defer cancel() // even if do ends the test
		do()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return seen
}

// check looks at a trace whose request or reply, as journey says, the guest sent.
func (s *traced) check(t *testing.T, tr *trace.Trace, journey trace.Kind) {
	t.Helper()
	if tr.Outcome != trace.Complete {
		t.Errorf("%s: %s %s: %v", tr.Ping, tr.Outcome, tr.Cause, names(tr))
	}
	for i := range tr.Spans {
		if tr.Spans[i].Kind == trace.KindUnseen {
			t.Errorf("%s: unseen in %v", tr.Ping, names(tr))
		}
	}
	kind := event.EchoRequest
	if journey == trace.KindReply {
		kind = event.EchoReply
	}
	first := s.first[packet{tr.Ping.Seq, netip.MustParseAddr(guestAddr), kind}]
	if first.Hook != event.NetifReceiveSKB || first.NetNS != s.hv || first.IfIndex != s.tapIndex {
		t.Errorf("%s: the guest's packet was first seen at %s of device %d, want netif_receive_skb of tap0 (%d)",
			tr.Ping, first.Hook, first.IfIndex, s.tapIndex)
	}
	i := slices.IndexFunc(tr.Spans, func(s trace.Span) bool { return s.Kind == journey })
	if i < 0 {
		t.Errorf("%s: no %s in %v", tr.Ping, journey, names(tr))
		return
	}
	leaf := i
	for !tr.Spans[leaf].Leaf && leaf+1 < len(tr.Spans) {
		leaf++
	}
	if l := tr.Spans[leaf]; l.NetNS.Inode != s.hv || l.Start != tr.Spans[i].Start || device(tr, leaf) != "tap0" {
		t.Errorf("%s: the guest's packet begins with %s of %s, want on tap0: %v", tr.Ping, l.Name(), device(tr, leaf), names(tr))
	}
}

// device returns the device that a leaf or the closest span around it is about.
func device(tr *trace.Trace, i int) string {
	for ; i != trace.NoParent; i = tr.Spans[i].Parent {
		if d := tr.Spans[i].Device; d != nil {
			return d.Name
		}
	}
	return ""
}

func names(tr *trace.Trace) []string {
	var all []string
	for i := range tr.Spans {
		all = append(all, tr.Spans[i].Name())
	}
	return all
}
