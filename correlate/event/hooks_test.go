// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/event/eventtest"
)

// The rows hold together: what identifies a hook is unique, and what is needed is there.
func TestTable(t *testing.T) {
	names := map[string]event.Hook{}
	for _, row := range event.All().List() {
		if row.Hook == 0 || row.Class == 0 || row.Since == (event.Version{}) {
			t.Errorf("%s: number %d, class %d, since %s", row, row.Hook, row.Class, row.Since)
		}
		if other, twice := names[row.Name]; twice {
			t.Errorf("hooks %d and %d are both called %s", row.Hook, other, row)
		}
		names[row.Name] = row.Hook
		if row.Arrival && !row.Inbound {
			t.Errorf("%s is an arrival and not inbound", row)
		}
		if got, ok := event.All().ByName(row.Name); !ok || got != row || row.Hook.Info() != row {
			t.Errorf("%s is found by name as %+v and by number as %+v", row, got, row.Hook.Info())
		}
	}
	if event.Hook(0).Info().Known() || event.Hook(255).String() != "unknown" {
		t.Error("0 and 255 are not hooks")
	}
}

// Each event of a packet has a place of its own.
func TestPlacesAreUnique(t *testing.T) {
	at := map[uint8]event.Event{}
	for _, row := range event.All().List() {
		codes := []event.NetfilterHook{0}
		if row.Code == event.CodeNetfilterHook {
			codes = event.NetfilterHooks()
		}
		for _, code := range codes {
			ev := event.Event{Hook: row.Hook, Code: uint32(code)}
			if other, taken := at[ev.Place()]; taken {
				t.Errorf("%s %d and %s %d have one place", ev.Hook, ev.Code, other.Hook, other.Code)
			}
			at[ev.Place()] = ev
		}
	}
}

// A packet's ways through the network stack, as the kernel's code has them.
func TestPlaceIsThatOnThePacketsWay(t *testing.T) {
	first := func(h event.NetfilterHook) event.Event {
		return event.Event{Hook: event.NetfilterFirst, Code: uint32(h)}
	}
	last := func(h event.NetfilterHook) event.Event {
		return event.Event{Hook: event.NetfilterLast, Code: uint32(h)}
	}
	at := func(h event.Hook) event.Event { return event.Event{Hook: h, Code: 3} }
	for name, way := range map[string][]event.Event{
		"from a process over a veth pair to a process": {
			first(event.NetfilterLocalOut), last(event.NetfilterLocalOut),
			first(event.NetfilterPostRouting), last(event.NetfilterPostRouting),
			at(event.NetDevQueue), at(event.NetDevStartXmit), at(event.NetifRx), at(event.NetDevXmit),
			at(event.NetifReceiveSKB), first(event.NetfilterPreRouting), last(event.NetfilterPreRouting),
			first(event.NetfilterLocalIn), last(event.NetfilterLocalIn), at(event.SKBCopyDatagramIovec),
		},
		"out of a tunnel and into a chain that drops it": {
			at(event.NAPIGROReceiveEntry), at(event.NetifReceiveSKB),
			first(event.NetfilterPreRouting), last(event.NetfilterPreRouting),
			first(event.NetfilterForward), at(event.KfreeSKB),
		},
	} {
		for i := range way[1:] {
			if a, b := way[i], way[i+1]; a.Place() >= b.Place() {
				t.Errorf("%s: %s %d comes before %s %d, but its place is %d and not before %d",
					name, a.Hook, a.Code, b.Hook, b.Code, a.Place(), b.Place())
			}
		}
	}
}

func TestWith(t *testing.T) {
	madeUp := eventtest.MadeUp()
	more := event.All().With(madeUp)
	if got := more.Info(madeUp.Hook); got != madeUp {
		t.Errorf("made-up hook is %+v", got)
	}
	if !more.Known(event.KfreeSKB) || event.All().Known(madeUp.Hook) {
		t.Error("a row was lost, or the table of all hooks has changed")
	}
	want := append(event.All().Of(event.Tracepoint), madeUp)
	if diff := cmp.Diff(want, more.Of(event.Tracepoint)); diff != "" {
		t.Errorf("tracepoints (-want +got):\n%s", diff)
	}
	if more.Since(event.Tracepoint) != madeUp.Since || more.Since(event.NetfilterProgram) != (event.Version{Major: 6, Minor: 4}) {
		t.Errorf("tracepoints since %s, netfilter programs since %s", more.Since(event.Tracepoint), more.Since(event.NetfilterProgram))
	}
}

func TestNetfilterHookNames(t *testing.T) {
	var names []string
	for _, h := range event.NetfilterHooks() {
		names = append(names, h.String())
	}
	if want := []string{"prerouting", "input", "forward", "output", "postrouting"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	if h := event.NetfilterHook(5); h.String() != "unknown" {
		t.Errorf("hook 5 is called %s", h)
	}
}

func TestVersion(t *testing.T) {
	for release, want := range map[string]event.Version{
		"6.1.0-41-amd64":     {Major: 6, Minor: 1},
		"5.15.0-100-generic": {Major: 5, Minor: 15},
		"6.18.0":             {Major: 6, Minor: 18},
		"7.0-rc1":            {Major: 7},
	} {
		if got, err := event.ParseVersion(release); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", release, got, err, want)
		}
	}
	for _, release := range []string{"", "custom", "6", "6.x", "6.70000"} {
		if v, err := event.ParseVersion(release); err == nil {
			t.Errorf("%q is %s, want an error", release, v)
		}
	}
	inOrder := []event.Version{{5, 4}, {5, 17}, {6, 1}, {6, 4}, {6, 18}, {7, 0}}
	for i, v := range inOrder {
		for j, w := range inOrder {
			if v.Less(w) != (i < j) {
				t.Errorf("%s is older than %s: %t", v, w, v.Less(w))
			}
		}
	}
}
