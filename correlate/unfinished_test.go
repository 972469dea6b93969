// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

func TestUnfinished(t *testing.T) {
	toHypervisor := func(s *sim) *packet {
		p := s.request(1)
		p.cross(brovsnsNS, brovsnsBR)
		return p
	}
	for name, test := range map[string]struct {
		what func(*sim)
		want []string
	}{
		"last seen between two chains": {
			func(s *sim) {
				p := toHypervisor(s)
				p.at(ovsBR, event.NetifReceiveSKB)
				p.chains(ovsBR, event.NetfilterPreRouting)
				p.nf(ens3, event.NetfilterFirst, event.NetfilterForward)
			},
			[]string{"echo request", "hypervisor", "forward", "routing"},
		},
		"last seen in the queue": {
			func(s *sim) {
				p := toHypervisor(s)
				p.at(ovsBR, event.NetifReceiveSKB)
				p.at(ens3, event.NetDevQueue, event.NetDevStartXmit)
			},
			[]string{"echo request", "hypervisor", "queue ens3"},
		},
		"left the host": {
			func(s *sim) {
				p := toHypervisor(s)
				p.at(ovsBR, event.NetifReceiveSKB)
				p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
			}, nil,
		},
		"taken by a process": {
			func(s *sim) { toHypervisor(s).at(brovsnsBR, event.SKBCopyDatagramIovec) }, nil,
		},
		"answered, the reply not delivered": {
			func(s *sim) {
				p := s.request(1)
				p.toOutside()
				p.reply().cross(outside0, ens3)
			},
			[]string{"echo reply", "softirq wait"},
		},
		"died in a trace that is incomplete": {
			func(s *sim) {
				s.request(1).event(ens3, event.KfreeSKB, 8)
				s.events[0].Flags |= event.Received // so that where it came from was not seen
			}, nil,
		},
		"complete, the driver returned after the reply": {
			func(s *sim) {
				p := toHypervisor(s)
				p.at(ovsBR, event.NetifReceiveSKB)
				p.at(ens3, event.NetDevQueue, event.NetDevStartXmit)
				r := p.reply()
				r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
				p.at(ens3, event.NetDevXmit)
				r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
				r.cross(brovsnsBR, brovsnsNS)
				r.deliver(brovsnsNS)
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim()
			test.what(s)
			traces, _ := run(s.events, correlate.Options{})
			if diff := cmp.Diff(test.want, unfinished(traces)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// unfinished returns the names of the spans that are.
func unfinished(traces []*trace.Trace) (names []string) {
	for _, tr := range traces {
		for i := range tr.Spans {
			if tr.Spans[i].Unfinished {
				names = append(names, tr.Spans[i].Name())
			}
		}
	}
	return names
}
