// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

const (
	hypervisor = 4711
	red, blue  = 7, 8
	redBridge  = 3
	blueBridge = 4
	uplink     = 5
)

var (
	guest   = netip.MustParseAddr("192.0.2.10")
	outside = netip.MustParseAddr("203.0.113.8")
)

// book are rules that a test writes.
type book struct {
	sets  map[uint32]*ruleset.Set
	since time.Time
}

func (b *book) Rule(tenant, id uint32) (firewall.Rule, bool) {
	return firewall.Rule{Tenant: "red", UUID: "uuid", Text: "-j DROP", Chain: "FORWARD", Number: 2}, tenant == red && id == 11
}

func (b *book) Rules(tenant uint32, family header.Family) (*ruleset.Set, time.Time, bool) {
	set := b.sets[tenant]
	return set, b.since, set != nil && set.Family == family
}

func (*book) Host() *scope.Host {
	return &scope.Host{Tenants: []scope.Tenant{
		{ID: "blue", Number: blue, Devices: []scope.Device{{Index: blueBridge}}},
		{ID: "red", Number: red, Devices: []scope.Device{{Index: redBridge}}, Ports: []scope.Port{{Index: 30, Device: redBridge}}},
	}}
}

func (*book) SetTracing(map[string]*ebpf.Map) error { return nil }

// newFirewall returns one whose events' clock stands at 10 s.
func newFirewall(b *book) *Firewall {
	return &Firewall{
		rules: b, inode: hypervisor, now: func() (uint64, error) { return 10e9, nil }, close: func() {},
		route: func(_ int, _, dst netip.Addr) int { return map[netip.Addr]int{guest: blueBridge}[dst] },
	}
}

// set makes rules of one chain.
func set(policy ruleset.Verdict, rules ...ruleset.Rule) *ruleset.Set {
	return &ruleset.Set{Family: header.V4, Base: base, Policy: policy, Chains: map[string]*ruleset.Chain{base: {Name: base, Rules: rules}}}
}

// when makes a rule that looks at one word.
func when(w header.Word, lo, hi uint32, a ruleset.Action) ruleset.Rule {
	var b header.Box
	b[w] = header.Set{{Lo: lo, Hi: hi}}
	return ruleset.Rule{ID: 11, Boxes: []header.Box{b}, Action: a}
}

func died(change func(*event.Event)) *event.Event {
	ev := &event.Event{
		Time: 10e9 - 1e6, NetNS: hypervisor, IfIndex: redBridge, Hook: event.KfreeSKB, Type: event.EchoRequest, TTL: 63, PayloadLen: 56,
		Src: event.AddressFrom(guest), Dst: event.AddressFrom(outside),
	}
	if change != nil {
		change(ev)
	}
	return ev
}

// What is said of a packet that died.
func TestExplain(t *testing.T) {
	toBlue := func(ev *event.Event) { ev.IfIndex, ev.Src, ev.Dst = uplink, ev.Dst, ev.Src }
	icmp := when(header.Proto, header.ICMP, header.ICMP, ruleset.Deny)
	unknown := when(header.Proto, header.ICMP, header.ICMP, ruleset.Deny)
	unknown.Unknown = true
	dropped := event.Action{Deed: event.Firewall, Place: event.AtIPTables, Tenant: red, Verdict: event.VerdictDrop, Rule: 11}
	not := func(reason event.UnknownReason, tenant, rule uint32) *event.Action {
		return &event.Action{Deed: event.Firewall, Place: event.AtIPTables, Tenant: tenant, Verdict: event.VerdictDefer, Reason: uint16(reason), Rule: rule}
	}
	byBlue, byPolicy := dropped, dropped
	byBlue.Tenant, byPolicy.Rule = blue, 0
	established := header.StateOf(header.Established, 0)
	for name, tt := range map[string]struct {
		red, blue *ruleset.Set
		event     func(*event.Event)
		age       time.Duration
		want      *event.Action
	}{
		"a rule drops":                        {red: set(ruleset.Pass, icmp), want: &dropped},
		"the policy drops":                    {red: set(ruleset.Drop), want: &byPolicy},
		"the rules pass":                      {red: set(ruleset.Pass)},
		"no rules":                            {},
		"from a port":                         {red: set(ruleset.Pass, icmp), event: func(ev *event.Event) { ev.IfIndex = 30 }, want: &dropped},
		"nobody's":                            {red: set(ruleset.Drop), event: func(ev *event.Event) { ev.IfIndex = uplink }},
		"to a tenant":                         {blue: set(ruleset.Pass, icmp), event: toBlue, want: &byBlue},
		"to a tenant that passes it":          {red: set(ruleset.Drop), blue: set(ruleset.Pass), event: toBlue},
		"between tenants, the first":          {red: set(ruleset.Pass, icmp), blue: set(ruleset.Drop), event: func(ev *event.Event) { ev.Dst = ev.Src }, want: &dropped},
		"between tenants, the second":         {red: set(ruleset.Pass), blue: set(ruleset.Pass, icmp), event: func(ev *event.Event) { ev.Dst = ev.Src }, want: &byBlue},
		"an unknown match":                    {red: set(ruleset.Pass, unknown), want: not(event.UnknownMatch, red, 11)},
		"what does more":                      {red: set(ruleset.Drop, when(header.Proto, header.ICMP, header.ICMP, ruleset.Foreign)), want: not(event.UnknownMatch, red, 11)},
		"it depends on the state":             {red: set(ruleset.Drop, when(header.State, established, established, ruleset.Accept)), want: not(event.UnknownState, red, 0)},
		"states that an echo request has not": {red: set(ruleset.Drop, when(header.State, header.StateOf(header.Related, 0), header.StateOf(header.Related, 0), ruleset.Accept)), want: &byPolicy},
		"it depends on the type of service":   {red: set(ruleset.Pass, when(header.TOS, 0x10, 0x10, ruleset.Deny)), want: not(event.UnknownState, red, 11)},
		"the size of the packet":              {red: set(ruleset.Pass, when(header.Length, 84, 84, ruleset.Deny)), want: &dropped},
		"the type of the packet":              {red: set(ruleset.Pass, when(header.Sport, 8<<8, 8<<8, ruleset.Deny)), want: &dropped},
		"the type of a reply":                 {red: set(ruleset.Pass, when(header.Sport, 0, 0, ruleset.Deny)), event: func(ev *event.Event) { ev.Type = event.EchoReply }, want: &dropped},
		"the time to live":                    {red: set(ruleset.Pass, when(header.TTL, 63, 63, ruleset.Deny)), want: &dropped},
		"from the tenant":                     {red: set(ruleset.Pass, when(header.Origin, header.From, header.From, ruleset.Deny)), want: &dropped},
		"in another namespace":                {red: set(ruleset.Drop), event: func(ev *event.Event) { ev.NetNS = 1 }},
		"in a tunnel":                         {red: set(ruleset.Drop), event: func(ev *event.Event) { ev.Depth = 1 }},
		"a fragment":                          {red: set(ruleset.Drop), event: func(ev *event.Event) { ev.Flags |= event.FirstFragment }},
		"an ICMP error":                       {red: set(ruleset.Drop), event: func(ev *event.Event) { ev.Type = event.RequestError }},
		"rules that are too new":              {red: set(ruleset.Drop), age: time.Nanosecond, want: not(event.RulesChanged, red, 0)},
	} {
		if tt.age == 0 {
			tt.age = time.Hour
		}
		b := &book{sets: map[uint32]*ruleset.Set{}, since: time.Now().Add(-tt.age)}
		for tenant, set := range map[uint32]*ruleset.Set{red: tt.red, blue: tt.blue} {
			if set != nil {
				b.sets[tenant] = set
			}
		}
		got, ok := newFirewall(b).Explain(died(tt.event))
		if ok != (tt.want != nil) {
			t.Errorf("%s: %t, %+v", name, ok, got)
			continue
		}
		if diff := cmp.Diff(tt.want, &got); ok && diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A flood of packets that die does not keep the agent from reading events.
func TestBudget(t *testing.T) {
	f := newFirewall(&book{sets: map[uint32]*ruleset.Set{red: set(ruleset.Drop)}})
	f.budget = budget{began: time.Now().Add(time.Hour), spent: budgetSpend}
	got, ok := f.Explain(died(nil))
	if !ok || got.Reason != uint16(event.NotAsked) || got.Verdict != event.VerdictDefer || got.Tenant != red {
		t.Errorf("%t, %+v", ok, got)
	}
	f.budget.began = time.Now().Add(-budgetPeriod)
	if got, _ := f.Explain(died(nil)); got.Verdict != event.VerdictDrop {
		t.Errorf("a second later: %+v", got)
	}
}

// Numbers that are known have names.
func TestNames(t *testing.T) {
	f := newFirewall(&book{})
	for id, want := range map[uint32]trace.Rule{
		11: {Tenant: "red", Chain: "FORWARD", Number: 2, UUID: "uuid", Text: "-j DROP"},
		12: {Tenant: "red"},
		0:  {Tenant: "red", Chain: "FORWARD"},
	} {
		if diff := cmp.Diff(want, f.Rule(red, id)); diff != "" {
			t.Errorf("rule %d (-want +got):\n%s", id, diff)
		}
	}
	if got := f.Rule(99, 0); got != (trace.Rule{}) {
		t.Errorf("of nobody: %+v", got)
	}
	if got := f.Reason(uint16(datapath.Fragment)); got != "fragment" || f.Reason(0) != "" {
		t.Errorf("reasons %q, %q", got, f.Reason(0))
	}
}

// The numbers of verdicts are the same for tracing and firewall.
func TestVerdicts(t *testing.T) {
	for got, want := range map[uint16]ruleset.Verdict{
		event.VerdictPass: ruleset.Pass, event.VerdictDrop: ruleset.Drop, event.VerdictDefer: ruleset.Defer,
	} {
		if got != uint16(want) {
			t.Errorf("%d is %d", want, got)
		}
	}
	for _, r := range datapath.Reasons() {
		if uint16(r) >= uint16(event.UnknownMatch) {
			t.Errorf("%s is a reason of iptables", r)
		}
	}
}
