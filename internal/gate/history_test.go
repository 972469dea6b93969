// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/gate"
)

// What is not known to be seen in part has been seen as a whole, whatever the levels did and
// whichever of its events were left out because others of it might have been.
func TestWhatIsShownIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const life, ids = 100, 2
		levels := rapid.SliceOfN(rapid.Uint8Range(0, 5), 1, 12).Draw(t, "levels")
		gaps := rapid.SliceOfN(rapid.Uint64Range(1, 2*life), len(levels), len(levels)).Draw(t, "gaps")
		var h gate.History
		level := [ids]gate.Level{}
		hash := rapid.Uint64().Draw(t, "hash") >> rapid.IntRange(0, 6).Draw(t, "shift")
		events := rapid.SliceOfN(rapid.Uint64Range(0, life), 1, 8).Draw(t, "events")
		start := rapid.Uint64Range(0, 6*life).Draw(t, "start")
		idOf := rapid.SliceOfN(rapid.Uint16Range(0, ids-1), len(events), len(events)).Draw(t, "ids")
		behind := rapid.Uint64Range(0, 3*life).Draw(t, "behind")

		recorded := make([]bool, len(events))
		kept := make([]bool, len(events))
		at, i := uint64(0), 0
		for now := uint64(1); now < 40*life; now++ {
			if i < len(levels) && now == at+gaps[i] {
				id := uint16(i % ids)
				h.Set(id, gate.Level(levels[i]), now)
				level[id] = gate.Level(levels[i])
				at, i = now, i+1
			}
			for e, offset := range events {
				if now == start+offset+1 {
					recorded[e] = level[idOf[e]].Passes(hash)
				}
				if now == start+offset+1+behind && recorded[e] { // is read
					kept[e] = h.Tightest(idOf[e], now-behind-min(now-behind, life)).Passes(hash)
				}
			}
			if now == start+1+behind+2*life { // is closed
				break
			}
			h.Forget(now - min(now, 10*life))
		}
		first, none, all := uint64(0), true, true
		for e := range events {
			all = all && kept[e]
			if kept[e] && (none || start+events[e]+1 < first) {
				first, none = start+events[e]+1, false
			}
		}
		if none || all {
			return
		}
		for e := range events {
			if kept[e] && !h.Tightest(idOf[e], first-min(first, 2*life)).Passes(hash) {
				return // is not shown
			}
		}
		// An identifier of which nothing was kept is not known: see Controller.Alias.
		for e := range events {
			if kept[e] {
				continue
			}
			for other := range events {
				if kept[other] && idOf[other] == idOf[e] {
					t.Fatalf("event %d of identifier %d was left out, event %d was not, and the ping is shown", e, idOf[e], other)
				}
			}
		}
	})
}

func TestHistoryForgets(t *testing.T) {
	var h gate.History
	h.Set(7, 3, 100)
	h.Set(7, 5, 200)
	h.Set(7, 1, 300)
	h.Set(7, 0, 400)
	for _, tt := range []struct {
		since uint64
		want  gate.Level
	}{{0, 5}, {299, 5}, {300, 1}, {399, 1}, {400, 0}} {
		if got := h.Tightest(7, tt.since); got != tt.want {
			t.Errorf("since %d: level %d, want %d", tt.since, got, tt.want)
		}
	}
	if got := h.Tightest(8, 0); got != 0 {
		t.Errorf("another identifier: level %d", got)
	}
	h.Forget(300)
	if got := h.Tightest(7, 0); got != 1 || !h.Closed() {
		t.Errorf("level %d, closed %t", got, h.Closed())
	}
	if h.Forget(400); h.Closed() {
		t.Error("nothing is forgotten")
	}
}
