// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/gate"
)

// tightest is the highest of both.
func tightest(h *gate.History, id uint16, after uint64) gate.Threshold {
	ofAll, own := h.Tightest(id, after)
	return max(ofAll, own)
}

// What is not known to be seen in part has been seen as a whole, whatever the thresholds did and
// whichever of its events were left out because others of it might have been.
func TestWhatIsShownIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const life, ids = 100, 2
		levels := rapid.SliceOfN(rapid.Uint8Range(0, 5), 1, 12).Draw(t, "levels")
		gaps := rapid.SliceOfN(rapid.Uint64Range(1, 2*life), len(levels), len(levels)).Draw(t, "gaps")
		ofAll := rapid.SliceOfN(rapid.Bool(), len(levels), len(levels)).Draw(t, "of all gates")
		base := gate.Threshold(0)
		var h gate.History
		threshold := [ids]gate.Threshold{}
		randomness := ^(rapid.Uint32().Draw(t, "randomness") >> rapid.IntRange(0, 6).Draw(t, "shift"))
		events := rapid.SliceOfN(rapid.Uint64Range(0, life), 1, 8).Draw(t, "events")
		start := rapid.Uint64Range(0, 6*life).Draw(t, "start")
		idOf := rapid.SliceOfN(rapid.Uint16Range(0, ids-1), len(events), len(events)).Draw(t, "ids")
		behind := rapid.Uint64Range(0, 3*life).Draw(t, "behind")

		recorded := make([]bool, len(events))
		kept := make([]bool, len(events))
		at, i := uint64(0), 0
		for now := uint64(1); now < 40*life; now++ {
			if i < len(levels) && now == at+gaps[i] {
				id, to := uint16(i%ids), gate.Level(levels[i]).Threshold()
				if ofAll[i] {
					h.Rebase(base, to, now)
					base = to
				} else {
					h.Set(id, to, now)
					threshold[id] = to
				}
				at, i = now, i+1
			}
			for e, offset := range events {
				if now == start+offset+1 {
					recorded[e] = max(base, threshold[idOf[e]]).Passes(randomness)
				}
				if now == start+offset+1+behind && recorded[e] { // is read
					kept[e] = tightest(&h, idOf[e], now-behind-min(now-behind, life)).Passes(randomness)
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
			if kept[e] && !tightest(&h, idOf[e], first-min(first, 2*life)).Passes(randomness) {
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
		want  gate.Threshold
	}{{0, 5}, {299, 5}, {300, 1}, {399, 1}, {400, 0}} {
		if got := tightest(&h, 7, tt.since); got != tt.want {
			t.Errorf("since %d: threshold %d, want %d", tt.since, got, tt.want)
		}
	}
	if got := tightest(&h, 8, 0); got != 0 {
		t.Errorf("another identifier: threshold %d", got)
	}
	h.Forget(300)
	if got := tightest(&h, 7, 0); got != 1 || !h.Closed() {
		t.Errorf("threshold %d, closed %t", got, h.Closed())
	}
	h.Rebase(4, 2, 350)
	if got := tightest(&h, 8, 349); got != 4 {
		t.Errorf("of all gates: threshold %d", got)
	}
	if got := tightest(&h, 7, 350); got != 1 {
		t.Errorf("threshold %d", got)
	}
	if h.Forget(400); h.Closed() {
		t.Error("nothing is forgotten")
	}
}
