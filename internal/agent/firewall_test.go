// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// accuser is a Firewall of whose rules number 3 is always to blame.
type accuser struct {
	correlate.Numbers
	asked   int
	verdict uint16
	knows   bool
}

func (*accuser) SetTracing(map[string]*ebpf.Map) error { return nil }

func (a *accuser) Explain(*event.Event) (event.Action, bool) {
	a.asked++
	return event.Action{Deed: event.Firewall, Verdict: a.verdict, Place: event.AtIPTables, Tenant: 7, Rule: 3}, a.knows
}

// reasonsOf names reasons, and says that namespace 1 is a hypervisor.
type reasonsOf struct{ correlate.Numbers }

func (reasonsOf) DropReason(code uint32) string {
	return map[uint32]string{8: netfilterDrop, 9: "TC_INGRESS"}[code]
}

func (r reasonsOf) NetNS(inode uint32) *trace.NetNS {
	ns := r.Numbers.NetNS(inode)
	ns.Hypervisor = inode == 1
	return ns
}

// Who is asked for the reason of a drop, and what is made of the answer.
func TestBlame(t *testing.T) {
	const first, last = event.NetfilterFirst, event.NetfilterLast
	nf := func(skb uint64, h event.Hook, at event.NetfilterHook) event.Event {
		return event.Event{NetNS: 1, SKB: skb, Hook: h, Code: uint32(at), CPU: 2}
	}
	act := func(skb uint64, p event.ActionPlace, verdict uint16) event.Event {
		return event.Event{NetNS: 1, SKB: skb, CPU: 2, Hook: event.Acted, Action: event.Action{Deed: event.Firewall, Place: p, Verdict: verdict}}
	}
	died := func(skb uint64, code uint32) event.Event {
		return event.Event{Time: 5, NetNS: 1, IfIndex: 4, SKB: skb, CPU: 2, Hook: event.KfreeSKB, Code: code, TTL: 63}
	}
	elsewhere := died(1, 8)
	elsewhere.NetNS = 2
	otherCPU := nf(1, first, event.NetfilterForward)
	otherCPU.CPU = 3
	forward := nf(1, first, event.NetfilterForward)
	const no, sure, unsure = "", "drop", "defer"
	for name, tt := range map[string]struct {
		events []event.Event
		want   string
	}{
		"in FORWARD":                      {[]event.Event{forward, died(1, 8)}, sure},
		"after others":                    {[]event.Event{forward, nf(1, last, event.NetfilterForward), nf(2, first, event.NetfilterForward), died(2, 8)}, sure},
		"left to iptables":                {[]event.Event{forward, act(1, event.AtForward, event.VerdictDefer), died(1, 8)}, sure},
		"passed by another's rules":       {[]event.Event{forward, act(1, event.AtForward, event.VerdictPass), died(1, 8)}, sure},
		"dropped by a program":            {[]event.Event{forward, act(1, event.AtForward, event.VerdictDrop), died(1, 8)}, no},
		"dropped by a program, not timed": {[]event.Event{act(1, event.AtForward, event.VerdictDrop), died(1, 8)}, no},
		"before":                          {[]event.Event{nf(1, first, event.NetfilterPreRouting), died(1, 8)}, no},
		"after":                           {[]event.Event{forward, nf(1, last, event.NetfilterForward), died(1, 8)}, no},
		"on its way out":                  {[]event.Event{forward, nf(1, last, event.NetfilterForward), nf(1, first, event.NetfilterPostRouting), died(1, 8)}, no},
		"another packet":                  {[]event.Event{forward, died(2, 8)}, no},
		"another CPU":                     {[]event.Event{otherCPU, died(1, 8)}, no},
		"for another reason":              {[]event.Event{forward, died(1, 9)}, no},
		"not in a hypervisor":             {[]event.Event{elsewhere}, no},
		"where netfilter is not timed":    {[]event.Event{act(1, event.AtTC, event.VerdictDefer), died(1, 8)}, unsure},
		"in FORWARD of a program alone":   {[]event.Event{act(1, event.AtForward, event.VerdictDefer), died(1, 8)}, sure},
	} {
		f := &accuser{verdict: event.VerdictDrop, knows: true}
		b := newBlamer(f, reasonsOf{})
		var got []event.Event
		for i := range tt.events {
			if e := b.see(&tt.events[i]); e != nil {
				got = append(got, *e)
			}
		}
		if tt.want == no {
			if len(got) > 0 || f.asked > 0 {
				t.Errorf("%s: asked %d times, %+v", name, f.asked, got)
			}
			continue
		}
		want := event.Event{Time: 5, NetNS: 1, IfIndex: 4, SKB: got[0].SKB, CPU: 2, TTL: 63, Hook: event.Acted, Action: event.Action{
			Deed: event.Firewall, Verdict: event.VerdictDrop, Place: event.AtIPTables, Tenant: 7, Rule: 3,
		}}
		if tt.want == unsure {
			want.Action.Verdict, want.Action.Reason = event.VerdictDefer, uint16(event.UnknownHook)
		}
		if diff := cmp.Diff([]event.Event{want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Who knows of no rule says nothing, and without a firewall nobody is asked.
func TestNobodyToBlame(t *testing.T) {
	ev := event.Event{NetNS: 1, Hook: event.KfreeSKB, Code: 8}
	f := &accuser{}
	if e := newBlamer(f, reasonsOf{}).see(&ev); e != nil || f.asked != 1 {
		t.Errorf("asked %d times, %+v", f.asked, e)
	}
	if e := newBlamer(nil, reasonsOf{}).see(&ev); e != nil {
		t.Errorf("%+v", e)
	}
}
