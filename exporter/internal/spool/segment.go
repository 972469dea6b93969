// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/exporter"
)

// segment is a file of records.
type segment struct {
	id   uint64
	size int64
	// number and before are those of its first record.
	number uint64
	before exporter.Count
}

const segmentSuffix = ".seg"

func (s *Spool) path(id uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x", id)+segmentSuffix)
}

// bytes returns what the spool takes on disk.
func (s *Spool) bytes() int64 {
	if s.absent() {
		return 0
	}
	n := s.slot.size + accountPage
	for i := range s.segments {
		n += s.segments[i].size
	}
	return n
}

// measure notes the size for who does not hold io.
func (s *Spool) measure() { s.size.Store(s.bytes()) }

// ErrDisk is returned by Append when a batch cannot be written to the disk, which then
// stays with the caller.
var ErrDisk = errors.New("cannot write to the disk")

// Append writes a batch behind all others. If the limit is reached, the oldest
// batches make room for it.
func (s *Spool) Append(b Batch) error {
	s.io.Lock()
	defer s.io.Unlock()
	defer s.measure()
	if s.absent() {
		return ErrDisk
	}
	h := s.nextRecord(b)
	if segmentHeader+h.size() > s.max-s.overhead() { // not even if all others are dropped
		s.tellFull()
		s.Lose(exporter.CauseSpoolFull, b.Count)
		return nil
	}
	if !s.makeRoom(segmentHeader + h.size()) {
		return ErrDisk
	}
	if err := s.disk(s.writeRecord(&h, b.Payload)); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s.update(func(a *account) {
		a.next++
		a.written = h.end()
		s.ages.add(h.number, time.Now())
	})
	return nil
}

// nextRecord returns the header of the record that a batch would be now.
func (s *Spool) nextRecord(b Batch) header {
	return header{
		length: uint32(len(b.Payload)), number: s.account.next,
		count: b.Count, before: s.account.written, sum: sum(b.Payload),
	}
}

// overhead is the size of the files that are not segments.
func (s *Spool) overhead() int64 { return s.slot.size + accountPage }

// makeRoom drops the oldest segments until n bytes more are within the limit. It
// reports false if the oldest cannot be dropped now.
func (s *Spool) makeRoom(n int64) bool {
	for len(s.segments) > 0 && s.bytes()+n > s.max {
		if s.read.pinned {
			return false
		}
		s.tellFull()
		s.dropOldest()
	}
	return true
}

func (s *Spool) tellFull() {
	if s.full.Set(true) {
		s.log.Warn("the spool has reached its limit; its oldest traces are dropped", "limit_bytes", s.max)
	}
}

// dropOldest counts what is left in the oldest segment as lost, and then removes it.
func (s *Spool) dropOldest() {
	number, end := s.account.next, s.account.written
	if len(s.segments) > 1 {
		number, end = s.segments[1].number, s.segments[1].before
	}
	s.update(func(a *account) {
		a.lose(exporter.CauseSpoolFull, end.Minus(a.taken))
		a.first, a.taken = number, end
	})
	s.removeOldest()
}

// removeOldest removes the oldest segment. The account no longer knows of it.
func (s *Spool) removeOldest() {
	s.read.close()
	if len(s.segments) == 1 && s.write != nil {
		s.write.Close()
		s.write = nil
	}
	os.Remove(s.path(s.segments[0].id))
	s.segments = s.segments[1:]
}

// writeRecord appends a record to the last segment, or to a new one.
func (s *Spool) writeRecord(h *header, payload []byte) error {
	if s.write != nil && s.last().size >= s.segmentBytes {
		s.write.Close()
		s.write = nil
	}
	if s.write == nil {
		if err := s.newSegment(h); err != nil {
			return err
		}
	}
	last := s.last()
	if err := h.writeAt(s.write, last.size, payload); err != nil {
		s.takeBack()
		return err
	}
	last.size += h.size()
	return nil
}

func (s *Spool) last() *segment { return &s.segments[len(s.segments)-1] }

func (s *Spool) newSegment(h *header) error {
	id := uint64(1)
	if len(s.segments) > 0 {
		id = s.last().id + 1
	}
	f, err := os.OpenFile(s.path(id), os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(segmentStart(), 0); err != nil {
		f.Close()
		os.Remove(s.path(id))
		return err
	}
	s.write = f
	s.segments = append(s.segments, segment{id: id, size: segmentHeader, number: h.number, before: h.before})
	return nil
}

// takeBack removes what a failed write has left. If even that fails, the segment is
// left as it is; reading stops at what was whole.
func (s *Spool) takeBack() {
	last := s.last()
	if err := s.write.Truncate(last.size); err == nil && last.size > segmentHeader {
		return
	}
	s.write.Close()
	s.write = nil
	if last.size == segmentHeader { // no record in it
		if s.read.id == last.id {
			s.read.close()
		}
		os.Remove(s.path(last.id))
		s.segments = s.segments[:len(s.segments)-1]
	}
}

// disk notes that the disk took what was written, or not, and returns err.
func (s *Spool) disk(err error) error {
	switch tell := s.failing.Set(err != nil); {
	case tell && err != nil:
		s.log.Warn("cannot write to the spool; traces are kept in memory while there is room", "error", err)
	case tell:
		s.log.Info("writes to the spool recovered")
	}
	return err
}
