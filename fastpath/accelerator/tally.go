// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"maps"
	"sync"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// tally counts decisions by slot.
type tally struct {
	mu      sync.Mutex
	slots   map[uint16]*decisions
	removed uint64
}

// decisions are those of one tenant.
type decisions struct {
	approved uint64
	refused  map[flow.Reason]uint64
	// wrong are packets that were foretold wrong, excused those that were in doubt and may not have been.
	wrong   map[flow.Direction]uint64
	excused map[flow.Direction]map[flow.Reason]uint64
}

// at must be called with the lock.
func (t *tally) at(slot uint16) *decisions {
	if t.slots == nil {
		t.slots = map[uint16]*decisions{}
	}
	if t.slots[slot] == nil {
		t.slots[slot] = &decisions{
			refused: map[flow.Reason]uint64{}, wrong: map[flow.Direction]uint64{}, excused: map[flow.Direction]map[flow.Reason]uint64{},
		}
	}
	return t.slots[slot]
}

func (t *tally) approved(slot uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(slot).approved++
}

func (t *tally) refused(slot uint16, r flow.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(slot).refused[r]++
}

func (t *tally) foretoldWrong(slot uint16, d flow.Direction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(slot).wrong[d]++
}

func (t *tally) excused(slot uint16, d flow.Direction, r flow.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.at(slot).excused
	if of[d] == nil {
		of[d] = map[flow.Reason]uint64{}
	}
	of[d][r]++
}

// doubted returns what came of packets that were in doubt.
func (t *tally) doubted() map[countKey]CountStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[countKey]CountStats{}
	for slot, of := range t.slots {
		for _, d := range []flow.Direction{flow.FromTenant, flow.ToTenant} {
			if of.wrong[d] > 0 || len(of.excused[d]) > 0 {
				all[countKey{slot, d}] = CountStats{Differ: of.wrong[d], Unlearnt: maps.Clone(of.excused[d])}
			}
		}
	}
	return all
}

func (t *tally) swept(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removed += uint64(n)
}

// sweepings returns how many entries were removed.
func (t *tally) sweepings() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.removed
}

// of returns the decisions about a tenant's flows.
func (t *tally) of(slot uint16) decisions {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.at(slot)
	return decisions{approved: d.approved, refused: maps.Clone(d.refused)}
}

// forget begins anew for a slot that is another tenant's now.
func (t *tally) forget(slot uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.slots, slot)
}
