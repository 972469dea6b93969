// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// drawScenario lets one of all scenarios happen.
func drawScenario(t *rapid.T) []event.Event {
	s := newSim()
	all := slices.Concat(golden, roads)
	all[rapid.IntRange(0, len(all)-1).Draw(t, "scenario")].what(s)
	return s.events
}

// Whichever events are not seen, a trace is complete only if the beginning of the request
// and the end of a reply were seen, and nothing between is missing.
func TestCompleteMeansThatBothEndsWereSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawScenario(t)
		kept := slices.DeleteFunc(slices.Clone(events), func(event.Event) bool {
			return rapid.IntRange(0, 9).Draw(t, "unseen") == 0
		})
		traces, _ := run(kept, correlate.Options{})
		for _, tr := range traces {
			if err := tracetest.CheckTree(tr); err != nil {
				t.Fatal(err)
			}
			if tr.Outcome != trace.Complete {
				continue
			}
			if !slices.ContainsFunc(kept, func(ev event.Event) bool { return int64(ev.Time) == tr.Root().Start && begins(&ev) }) {
				t.Fatalf("complete, and its beginning was not seen:\n%s", render(tr))
			}
			if rtt, ok := tr.RTT(); !ok || !slices.ContainsFunc(kept, func(ev event.Event) bool {
				return int64(ev.Time) == tr.Root().Start+rtt && ends(&ev)
			}) {
				t.Fatalf("complete, and its end was not seen:\n%s", render(tr))
			}
		}
	})
}

// begins and ends are what the hooks mean, said once more.
func begins(ev *event.Event) bool {
	switch ev.Hook {
	case event.NetDevQueue, event.NetDevStartXmit:
		return !ev.Flags.Has(event.Received)
	case event.NetifReceiveSKB:
		return !ev.Flags.Has(event.Paired)
	case event.NetfilterFirst:
		return event.NetfilterHook(ev.Code) == event.NetfilterLocalOut
	}
	return ev.Hook == event.NetifRx || ev.Hook == event.NAPIGROReceiveEntry
}

func ends(ev *event.Event) bool {
	switch ev.Hook {
	case event.SKBCopyDatagramIovec, event.NetDevXmit:
		return ev.Type == event.EchoReply
	case event.NetifReceiveSKB, event.NAPIGROReceiveEntry, event.NetifRx:
		return ev.Type == event.EchoReply // for a guest behind macvtap, or a program's own stack
	}
	return false
}

// Two runs of dwell that see two pings with the same content, at any distance of time, give
// them different trace IDs, unless the content says when it was sent.
func TestSameContentInTwoRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var payload [event.PayloadPrefix]byte
		copy(payload[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "payload"))
		later := rapid.Uint64Range(1, uint64(365*24*time.Hour)).Draw(t, "later")
		var ids []trace.ID
		for _, wait := range []uint64{0, later} {
			s := newSim()
			s.now += wait
			p := s.request(1)
			p.payload = payload
			p.toOutside()
			r := p.reply()
			r.toGuest(guestAddr, 77)
			r.deliver(brovsnsNS)
			traces, _ := run(s.events, correlate.Options{})
			for _, tr := range traces {
				at := time.Unix(0, simWall+int64(s.events[0].Time))
				if tr.Local == correlate.Dated(payload, 56, at) {
					t.Fatalf("local %v, dated %v", tr.Local, correlate.Dated(payload, 56, at))
				}
				if !tr.Local {
					return
				}
				ids = append(ids, tr.ID)
			}
		}
		slices.SortFunc(ids, func(a, b trace.ID) int { return cmp.Compare(a.String(), b.String()) })
		if len(ids) != 2 || ids[0] == ids[1] {
			t.Fatalf("IDs %v", ids)
		}
	})
}
