// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/exporter"
)

// Postpone moves the batch in flight behind all others. If the spool has reached its
// limit, what came before the batch makes room for it; if nothing did, it is the oldest
// and is lost. After an error, which is ErrDisk, the batch is in flight as before.
//
// A kill in the middle leaves it both in flight and as a record that is not counted
// yet, which recovery detects by their checksums.
func (s *Spool) Postpone(b Batch) error { return s.PostponeRest(exporter.Count{}, nil, b) }

// PostponeRest is Postpone for a batch of which only the rest is left: settled was taken,
// or lost as lost says. A kill in the middle leaves all of it in flight, and the rest once
// more behind the others: some is then received twice.
func (s *Spool) PostponeRest(settled exporter.Count, lost map[exporter.Cause]exporter.Count, rest Batch) error {
	s.io.Lock()
	defer s.io.Unlock()
	defer s.measure()
	if s.absent() || s.read.pinned {
		return ErrDisk // if it is pinned, there was no room to move it before
	}
	h := s.nextRecord(rest)
	if !s.makeRoomOfOlder(segmentHeader + h.size()) {
		s.update(func(a *account) {
			a.settle(settled, lost)
			a.lose(exporter.CauseSpoolFull, rest.Count)
			a.inflight, s.held = 0, exporter.Count{}
			s.ages.inFlight = time.Time{}
		})
		return nil
	}
	if err := s.disk(s.writeRecord(&h, rest.Payload)); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s.update(func(a *account) {
		a.settle(settled, lost)
		a.next++
		a.written = h.end()
		a.inflight, s.held = 0, exporter.Count{}
		s.ages.postpone(h.number)
	})
	return nil
}

// makeRoomOfOlder drops the oldest segments, while what is in them came before the batch
// in flight, until n bytes more are within the limit. It reports false if they are not.
func (s *Spool) makeRoomOfOlder(n int64) bool {
	for s.bytes()+n > s.max {
		s.tellFull()
		if s.account.first >= s.place {
			return false
		}
		s.dropOldest()
	}
	return true
}
