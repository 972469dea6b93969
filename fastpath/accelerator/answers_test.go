// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

func tuple(proto uint8, src string, sport uint16, dst string, dport uint16) flow.Tuple {
	return flow.Tuple{Proto: proto, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Sport: sport, Dport: dport}
}

// nat puts a flow of red's through NAT into the programs, with everything agreed and approved.
func (w *world) nat(proto uint8, dport uint16) (forth, back *flow.Flow) {
	forth = &flow.Flow{
		Key: flow.Key{IfIndex: 11, Tuple: tuple(proto, "192.168.0.10", 40000, "203.0.113.8", dport)}, ID: uint64(dport)*2 + 1, Slot: 2,
		Rewrite: flow.Rewrite{After: tuple(proto, "198.51.100.1", 1024, "203.0.113.8", dport), Out: 2, Routed: true, NextHop: netip.MustParseAddr("198.51.100.2")},
		Tracked: true, Lease: time.Second, Agreed: 2, Longest: 100, Fast: 5,
	}
	back = &flow.Flow{
		Key: forth.Back(), ID: uint64(dport) * 2, Slot: 2, Reply: true,
		Rewrite: flow.Rewrite{After: tuple(proto, "203.0.113.8", dport, "192.168.0.10", 40000), Out: 11, Routed: true},
		Tracked: true, Lease: time.Second, Agreed: 2, Longest: 100, Fast: 5,
	}
	w.put(forth, back)
	return forth, back
}

func (w *world) put(flows ...*flow.Flow) {
	w.programs.mu.Lock()
	defer w.programs.mu.Unlock()
	for _, f := range flows {
		f.Approval = w.programs.approval
		w.programs.flows[f.Key] = f
	}
}

func (w *world) settled(f *flow.Flow) string {
	w.programs.mu.Lock()
	defer w.programs.mu.Unlock()
	return w.programs.settled[f.Key]
}

// TestSettle wants flows to be approved, those of TCP only with windows unchecked, and to be refused with what
// is wrong.
func TestSettle(t *testing.T) {
	w := newWorld(t)
	w.policy.refuse = map[uint16]string{99: "a rule counts its packets"}
	w.started(flow.On, flow.Shadow)
	ask := func(forth, back *flow.Flow) string {
		t.Helper()
		c := bypass.Candidate{Forth: forth.Key, ID: forth.ID, Back: back.Key, BackID: back.ID}
		if err := w.m.settle(w.programs, w.liberal, w.m.judge.Load(), c); err != nil {
			t.Fatal(err)
		}
		return w.settled(forth)
	}
	forth, back := w.nat(17, 53)
	if got := ask(forth, back); got != "approved 1" || len(w.liberal.set) != 0 {
		t.Errorf("UDP: %s, liberal %v", got, w.liberal.set)
	}
	forth, back = w.nat(6, 80)
	if got := ask(back, forth); got != "" && got != "approved 1" || w.settled(forth) != "approved 1" {
		t.Errorf("TCP: %s", got)
	}
	if !slices.Equal(w.liberal.set, []flow.Tuple{forth.Key.Tuple}) {
		t.Errorf("liberal: %v, not the tuple of the first packet", w.liberal.set)
	}
	w.liberal.err = errors.New("no")
	forth, back = w.nat(6, 81)
	if got := ask(forth, back); !strings.HasPrefix(got, "refused 1 forbidden ") {
		t.Errorf("TCP that is not liberal: %s", got)
	}
	forth, back = w.nat(17, 99)
	if got := ask(forth, back); !strings.HasPrefix(got, "refused 1 forbidden ") {
		t.Errorf("UDP that the rules refuse: %s", got)
	}
	back.Reply = false
	forth.Key.Dport, back.Key.Sport = 53, 53
	w.put(forth, back)
	if got := ask(forth, back); !strings.HasPrefix(got, "refused 1 state ") {
		t.Errorf("two connections: %s", got)
	}
	forth, back = w.nat(17, 54)
	back.Rewrite.Out = 12
	if got := ask(forth, back); !strings.HasPrefix(got, "refused 1 moved ") {
		t.Errorf("two ways: %s", got)
	}
	d := w.m.tally.of(2)
	if d.approved != 2 || d.refused[flow.Forbidden] != 2 || d.refused[flow.State] != 1 {
		t.Errorf("%+v", d)
	}
	// In shadow mode nothing is changed.
	blue := &flow.Flow{Key: flow.Key{IfIndex: 21, Tuple: tuple(6, "192.168.1.5", 1, "203.0.113.8", 2)}, Slot: 1, Tracked: true}
	if w.m.judge.Load().needsLiberal(blue, blue) {
		t.Error("a connection of a tenant in shadow mode would be made liberal")
	}
}

// TestAsk wants a question of the programs to be answered.
func TestAsk(t *testing.T) {
	w := newWorld(t)
	w.started(flow.On, flow.On)
	<-w.programs.asking
	forth, back := w.nat(17, 53)
	w.programs.mu.Lock()
	ask := w.programs.ask
	w.programs.mu.Unlock()
	ask(bypass.Candidate{Forth: back.Key, ID: back.ID, Back: forth.Key, BackID: forth.ID})
	w.await("settle")
	if got := w.settled(forth); got != "approved 1" {
		t.Error(got)
	}
}

// TestWhy wants each state of a flow to be told, whatever device the packet is written as seen by.
func TestWhy(t *testing.T) {
	w := newWorld(t)
	w.started(flow.On, flow.On)
	forth, back := w.nat(17, 53)
	why := func(packet string) *Why {
		t.Helper()
		answer, err := w.m.Why(t.Context(), WhyQuery{Query: Query{Tenant: "red"}, Packet: packet})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	const asked = "udp 192.168.0.10:40000 > 203.0.113.8:53"
	for _, packet := range []string{
		asked, "udp 192.168.0.10 > 203.0.113.8:53", "udp 198.51.100.1:1024 > 203.0.113.8:53",
		"udp 203.0.113.8:53 > 198.51.100.1:1024", "udp 203.0.113.8:53 > 192.168.0.10:40000",
	} {
		a := why(packet)
		if !a.Fast || len(a.Flows) != 1 || a.Flows[0].State != StateFast || a.Flows[0].Forth.Packet != asked ||
			a.Flows[0].Forth.After != "udp 198.51.100.1:1024 > 203.0.113.8:53" || a.Flows[0].Back.Out != "red-1" {
			t.Errorf("%s: %+v", packet, a)
		}
	}
	number := w.m.details.number("it is Sunday")
	for _, c := range []struct {
		change        func()
		state, reason string
		text          string
	}{
		{func() { back.Changed = true }, StateRenewing, "changed", "something on the host changed"},
		{func() { back.Changed, forth.Lease = false, -time.Second }, StateRenewing, "lease", "it was over 1s ago"},
		{func() { forth.Lease, forth.Agreed = 1, 1 }, StateLearning, "unconfirmed", "1 of 2 packets"},
		{func() { forth.Agreed, forth.Approval = 2, 77 }, StateLearning, "unapproved", "the agent has not yet approved"},
		{func() { forth.Approval, forth.Denied, forth.Detail = 1, flow.Forbidden, number }, StateRefused, "forbidden", "it is Sunday"},
		{func() { forth.Denied, forth.Ended = flow.Fast, flow.Ended }, StateEnded, "ended", "the connection is ending"},
	} {
		w.programs.mu.Lock()
		c.change()
		w.programs.mu.Unlock()
		a := why(asked)
		if a.Fast || len(a.Flows) != 1 || a.Flows[0].State != c.state || len(a.Reasons) != 1 || a.Reasons[0].Reason != c.reason ||
			!strings.Contains(strings.ToLower(a.Reasons[0].Text), strings.ToLower(c.text)) {
			t.Errorf("%s: %+v", c.reason, a)
		}
	}
	for packet, reason := range map[string]string{
		"udp 192.168.0.10:40000 > 203.0.113.8:54":      "unknown",
		"47 192.168.0.10 > 203.0.113.8":                "protocol",
		"icmp 192.168.0.10 > 203.0.113.8 type 3/0":     "icmp-type",
		"tcp 192.168.0.10:1 > 203.0.113.8:2 syn":       "tcp-flags",
		"udp 192.168.0.10:1 > 203.0.113.8:2 ttl 0":     "ttl",
		asked + " length 1400":                         "length",
		"udp 192.168.0.10:1 > 203.0.113.8:2 state NEW": "unknown",
	} {
		if a := why(packet); a.Fast || !slices.ContainsFunc(a.Reasons, func(r WhyReason) bool { return r.Reason == reason }) {
			t.Errorf("%s: no reason %s: %+v", packet, reason, a.Reasons)
		}
	}
	var wrong *PacketError
	if _, err := w.m.Why(t.Context(), WhyQuery{Query: Query{Tenant: "red"}, Packet: "udp hello"}); !errors.As(err, &wrong) {
		t.Error(err)
	}
	if _, err := w.m.Why(t.Context(), WhyQuery{Query: Query{Tenant: "green"}, Packet: asked}); !errors.Is(err, ErrNoTenant) {
		t.Error(err)
	}
}

// TestTenantSeesItsOwn wants nothing that is another's to be in what a tenant is told.
func TestTenantSeesItsOwn(t *testing.T) {
	w := newWorld(t)
	w.facts.Tenants = map[string]string{"red": "a queue at blue-1 shapes, for 192.168.1.0/24"}
	w.started(flow.On, flow.On)
	w.nat(17, 53)
	// Between the two, translated so that neither has the other's address.
	w.put(
		&flow.Flow{
			Key: flow.Key{IfIndex: 21, Tuple: tuple(17, "192.168.1.5", 7, "198.51.100.1", 8)}, ID: 1000, Slot: 1, Other: 2, Agreed: 2, Fast: 1, Lease: 1,
			Rewrite: flow.Rewrite{After: tuple(17, "198.51.100.1", 9, "192.168.0.10", 10), Out: 11, Dst: flow.MAC{2, 0, 0, 0, 0, 0x11}},
		},
		&flow.Flow{
			Key: flow.Key{IfIndex: 11, Tuple: tuple(17, "192.168.0.10", 10, "198.51.100.1", 9)}, ID: 1001, Slot: 2, Other: 1, Agreed: 2, Fast: 1, Lease: 1,
			Rewrite: flow.Rewrite{After: tuple(17, "198.51.100.1", 8, "192.168.1.5", 7), Out: 21, Dst: flow.MAC{2, 0, 0, 0, 0, 0x21}},
		},
		&flow.Flow{Key: flow.Key{IfIndex: 21, Tuple: tuple(17, "192.168.1.6", 1, "203.0.113.8", 2)}, ID: 1002, Slot: 1, Rewrite: flow.Rewrite{Out: 2, After: tuple(17, "192.168.1.6", 1, "203.0.113.8", 2)}},
	)
	q := Query{Tenant: "red"}
	status, err := w.m.Status(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	flows, err := w.m.Flows(t.Context(), q, 0)
	if err != nil || len(flows.Flows) != 2 {
		t.Fatalf("%+v, %v", flows, err)
	}
	why, err := w.m.Why(t.Context(), WhyQuery{Query: q, Packet: "udp 192.168.0.10:10 > 198.51.100.1:9"})
	if err != nil || len(why.Flows) != 1 || why.Flows[0].Forth.Out != beyond || why.Flows[0].Back.In != beyond {
		t.Fatalf("%+v, %v", why, err)
	}
	told, err := json.Marshal([]any{status, flows, why})
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"blue", "192.168.1", "02:00:00:00:00:21"} {
		if strings.Contains(string(told), foreign) {
			t.Errorf("%s is another's: %s", foreign, told)
		}
	}
	for _, own := range []string{"red-1", "192.168.0.10", elsewhere} {
		if !strings.Contains(string(told), own) {
			t.Errorf("%s is not told: %s", own, told)
		}
	}
	all, err := w.m.Flows(t.Context(), Query{Operator: true}, 2)
	if err != nil || len(all.Flows) != 2 || all.Left != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	for _, wrong := range []Query{{}, {Tenant: "green"}} {
		if _, err := w.m.Flows(t.Context(), wrong, 0); !errors.Is(err, ErrNoTenant) {
			t.Errorf("%+v: %v", wrong, err)
		}
		if _, err := w.m.Flush(t.Context(), wrong); !errors.Is(err, ErrNoTenant) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if n, err := w.m.Flush(t.Context(), q); err != nil || n != 3 || !slices.Contains(w.programs.take(), "flush 2") {
		t.Errorf("%d, %v", n, err)
	}
}
