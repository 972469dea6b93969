// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// rules are those of tenant 7, called red, on the simulated host.
type rules struct{}

func (rules) Rule(tenant, id uint32) trace.Rule {
	r := map[uint32]trace.Rule{
		0: {Chain: "FORWARD"},
		3: {Chain: "FORWARD", Number: 2, UUID: "2b9c1f7e-0000-5000-8000-000000000003", Text: "-s 192.168.0.10/32 -p icmp -j DROP"},
	}[id]
	if tenant != 7 {
		return trace.Rule{}
	}
	r.Tenant = "red"
	return r
}

func (rules) Reason(code uint16) string { return map[uint16]string{4: "fragment"}[code] }

func judged(verdict uint16, where event.ActionPlace, rule uint32) event.Action {
	return event.Action{Deed: event.Firewall, Verdict: verdict, Tenant: 7, Rule: rule, Place: where, Nanoseconds: 120}
}

// judgings lists what firewalls of tenants do to packets.
var judgings = []scenario{
	{"dropped-by-rule-at-tc", func(s *sim) {
		p := s.request(30)
		p.cross(brovsnsNS, brovsnsBR)
		p.act(brovsnsBR, judged(event.VerdictDrop, event.AtTC, 3))
		p.event(brovsnsBR, event.KfreeSKB, 9)
	}},
	{"dropped-by-policy-in-forward", func(s *sim) {
		p := s.request(31)
		p.cross(brovsnsNS, brovsnsBR)
		left := judged(event.VerdictDefer, event.AtTC, 0)
		left.Reason = 4
		p.act(brovsnsBR, left)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.chains(ovsBR, event.NetfilterPreRouting)
		p.nf(ovsBR, event.NetfilterFirst, event.NetfilterForward)
		p.act(ovsBR, judged(event.VerdictDrop, event.AtForward, 0))
		p.event(ovsBR, event.KfreeSKB, 8)
	}},
	{"perhaps-dropped-by-rule-of-iptables", func(s *sim) {
		p := s.request(32)
		p.cross(brovsnsNS, brovsnsBR)
		p.act(brovsnsBR, judged(event.VerdictDefer, event.AtTC, 3))
		p.at(ovsBR, event.NetifReceiveSKB)
		a := judged(event.VerdictDefer, event.AtIPTables, 3)
		a.Reason = uint16(event.UnknownMatch)
		p.act(ovsBR, a)
		p.event(ovsBR, event.KfreeSKB, 8)
	}},
	{"passed-by-rules", func(s *sim) {
		p := s.request(33)
		p.cross(brovsnsNS, brovsnsBR)
		p.act(brovsnsBR, judged(event.VerdictPass, event.AtTC, 0))
		p.at(ovsBR, event.NetifReceiveSKB)
		p.act(ovsBR, judged(event.VerdictPass, event.AtForward, 0))
		stranger := judged(event.VerdictPass, event.AtForward, 5)
		stranger.Tenant = 8
		p.act(ovsBR, stranger)
		p.cross(ens3, outside0)
		r := p.reply()
		r.toGuest(guestAddr, 77)
		r.deliver(brovsnsNS)
	}},
}

// The status says which rule dropped the packet, wherever the error stands and nowhere else.
func TestStatusNamesTheRule(t *testing.T) {
	for name, want := range map[string]string{
		"dropped-by-rule-at-tc":               "because of red's FORWARD rule 2 (tc)",
		"dropped-by-policy-in-forward":        "because of red's FORWARD policy (forward)",
		"perhaps-dropped-by-rule-of-iptables": "",
	} {
		for _, g := range judgings {
			if g.name != name {
				continue
			}
			s := newSim()
			g.what(s)
			traces, _ := run(s.events, correlate.Options{Rules: rules{}, Start: s.events[0].Time})
			errors := 0
			for i := range traces[0].Spans {
				if traces[0].Spans[i].Error != "" {
					errors++
				}
			}
			line := string(otlpLine(t, traces[0]))
			if got := strings.Count(line, "because of "); want != "" && got != errors || want == "" && got != 0 || errors < 3 {
				t.Errorf("%s: %d errors, %d rules", name, errors, got)
			}
			if want != "" && strings.Count(line, want) != errors {
				t.Errorf("%s: %q is not in each of %d messages", name, want, errors)
			}
		}
	}
}

// Without names a firewall's event has its numbers.
func TestRulesWithoutNames(t *testing.T) {
	s := newSim()
	judgings[0].what(s)
	traces, _ := run(s.events, correlate.Options{Rules: correlate.Numbers{}, Start: s.events[0].Time})
	e := traces[0].Dropped(0)
	if e == nil {
		t.Fatal("no event says what dropped the packet")
	}
	got := map[string]string{}
	for _, a := range e.Attrs {
		got[a.Key] = a.Value()
	}
	for key, want := range map[string]string{
		trace.AttrTenantNumber: "7", trace.AttrRule: "3", trace.AttrFirewallPlace: "tc", trace.AttrFirewallNS: "120",
		trace.AttrRuleName: "", trace.AttrTenantID: "",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if e.Blame() != "" {
		t.Errorf("it is %s", e.Blame())
	}
}

// A rule of iptables is found when the packet has died, and stands before that all the same.
func TestRuleStandsBeforeTheDrop(t *testing.T) {
	s := newSim()
	judgings[2].what(s)
	last := len(s.events) - 1
	s.events[last-1].Time = s.events[last].Time
	traces, _ := run(s.events, correlate.Options{Start: s.events[0].Time})
	leaf := traces[0].Spans[len(traces[0].Spans)-1]
	if len(leaf.Events) != 2 || leaf.Events[0].Name != trace.EventFirewall || leaf.Events[1].Name != trace.EventDrop {
		t.Errorf("%+v", leaf.Events)
	}
}
