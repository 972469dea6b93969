// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"sync"

	"github.com/dwelltrace/dwell/fastpath/bypass"
)

// laneRoom is how many flows of one tenant may wait to be decided. The programs ask again for what
// found no room, a tenth of a second later.
const laneRoom = 256

// queue has the flows that are to be decided, those of each tenant by themselves: who opens flows
// without end waits for his own and not in others' way.
type queue struct {
	signal chan struct{}

	mu     sync.Mutex // for what follows
	lanes  map[uint16]*lane
	turn   []uint16 // those with something in them, whose turn it is first
	putOff map[uint16]uint64
}

// lane is a ring.
type lane struct {
	waiting [laneRoom]bypass.Candidate
	first   int
	n       int
}

func newQueue() *queue {
	return &queue{signal: make(chan struct{}, 1), lanes: map[uint16]*lane{}, putOff: map[uint16]uint64{}}
}

// push adds a flow to those of a slot, and reports whether there was room.
func (q *queue) push(slot uint16, c bypass.Candidate) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[slot]
	if l == nil {
		l = &lane{}
		q.lanes[slot] = l
	}
	if l.n == laneRoom {
		q.putOff[slot]++
		return false
	}
	l.waiting[(l.first+l.n)%laneRoom] = c
	if l.n++; l.n == 1 {
		q.turn = append(q.turn, slot)
	}
	q.tell()
	return true
}

func (q *queue) tell() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// pop returns the next flow, one of each slot in turn. It waits for one until ctx is done, and then
// reports false.
func (q *queue) pop(ctx context.Context) (bypass.Candidate, bool) {
	for {
		if c, ok := q.next(); ok {
			return c, true
		}
		select {
		case <-ctx.Done():
			return bypass.Candidate{}, false
		case <-q.signal:
		}
	}
}

func (q *queue) next() (bypass.Candidate, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turn) == 0 {
		return bypass.Candidate{}, false
	}
	slot := q.turn[0]
	q.turn = append(q.turn[:0], q.turn[1:]...)
	l := q.lanes[slot]
	c := l.waiting[l.first]
	l.waiting[l.first] = bypass.Candidate{}
	l.first = (l.first + 1) % laneRoom
	if l.n--; l.n > 0 {
		q.turn = append(q.turn, slot)
	}
	if len(q.turn) > 0 {
		q.tell() // another may be waiting
	}
	return c, true
}

// clear forgets what waits; the programs ask for it again.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.lanes)
	q.turn = q.turn[:0]
}

// of returns how many flows of a slot wait, and how many have been put off so far.
func (q *queue) of(slot uint16) (waiting int, putOff uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lanes[slot]; l != nil {
		waiting = l.n
	}
	return waiting, q.putOff[slot]
}
