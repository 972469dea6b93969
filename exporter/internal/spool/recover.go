// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/exporter"
)

// recover works out what an earlier process has left, and counts what died with it.
func (s *Spool) recover() error {
	account, err := s.file.load()
	if err != nil {
		return err
	}
	s.account = emptyAccount()
	if account != nil {
		s.account = *account
	}
	if err := s.findSegments(account == nil); err != nil {
		return err
	}
	left, damaged, err := s.recoverSlot(account == nil)
	if err != nil {
		return err
	}
	s.held = left
	s.settleLosses(left, damaged)
	s.removeRead()
	if err := errors.Join(s.file.encode(&s.account), s.file.write()); err != nil {
		return err
	}
	if stats := s.start.waiting(); stats != (exporter.Count{}) {
		s.log.Info("found unsent traces in the spool", "left", stats.String(),
			"killed", s.account.lost[exporter.CauseKilled].Minus(s.start.lost[exporter.CauseKilled]).String())
	}
	return nil
}

func emptyAccount() account {
	return account{next: 1, first: 1, lost: make(map[exporter.Cause]exporter.Count)}
}

// settleLosses closes the gap between what was taken over and what is still here.
func (s *Spool) settleLosses(left, damaged exporter.Count) {
	here := s.account.written.Minus(s.account.taken).Plus(left)
	missing := s.account.waiting().Minus(here)
	// An account that is older than the files knows of too few.
	more := exporter.Count{Traces: max(-missing.Traces, 0), Spans: max(-missing.Spans, 0)}
	s.account.accepted = s.account.accepted.Plus(more)
	s.start = s.account
	s.start.lost = maps.Clone(s.account.lost)
	missing = missing.Plus(more)
	damaged = exporter.Count{Traces: min(damaged.Traces, missing.Traces), Spans: min(damaged.Spans, missing.Spans)}
	s.account.lose(exporter.CauseSpoolCorrupt, damaged)
	s.account.lose(exporter.CauseKilled, missing.Minus(damaged))
}

// recoverSlot returns the counts of the batch that was being sent, and of one that
// was and cannot be read any more.
func (s *Spool) recoverSlot(unknown bool) (left, damaged exporter.Count, err error) {
	h, payload, err := s.slot.load()
	if err != nil {
		return left, damaged, err
	}
	if unknown && payload != nil {
		s.account.inflight = h.number
	}
	if s.account.inflight == 0 {
		return left, damaged, nil
	}
	if h.number == s.account.inflight && payload != nil && !s.uncounted.same(&h) {
		s.ages.inFlight = changed(s.slot.file)
		return h.count, damaged, nil
	}
	if h.number == s.account.inflight && payload == nil {
		damaged = h.count
	}
	s.account.inflight = 0
	return left, damaged, nil
}

// findSegments lists the segments and reads all headers in them. If the account is
// unknown, everything in them is yet to be sent.
func (s *Spool) findSegments(unknown bool) error {
	entries, err := os.ReadDir(s.dir) // in order of names, which is that of numbers
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		id, err := strconv.ParseUint(name, 16, 64)
		if !ok || err != nil || e.Name() != filepath.Base(s.path(id)) {
			continue
		}
		if err := s.findRecords(id, unknown); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	s.read.close()
	s.nameUnreadable()
	return nil
}

// findRecords adds a segment, cut off behind its last whole record.
func (s *Spool) findRecords(id uint64, unknown bool) error {
	f, err := os.OpenFile(s.path(id), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	seg := segment{id: id, size: info.Size()}
	var start [segmentHeader]byte
	if _, err := f.ReadAt(start[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if err := checkVersion(start[:], segmentMagic, segmentHeaderSum); err != nil {
		return err
	}
	end := int64(segmentHeader)
	c := cursor{file: f, id: id, at: segmentHeader}
	for h, ok := c.header(seg.size); ok; h, ok = c.header(seg.size) {
		if seg.number == 0 {
			seg.number, seg.before = h.number, h.before
		}
		s.found(&h, unknown)
		c.at += h.size()
		end = c.at
	}
	if end < seg.size {
		s.log.Warn("the last record in the spool is incomplete; it is truncated", "segment", filepath.Base(s.path(id)), "bytes", seg.size-end)
		if err := f.Truncate(end); err != nil {
			return err
		}
		seg.size = end
	}
	if s.segments = append(s.segments, seg); seg.number != 0 {
		s.ages.add(seg.number, info.ModTime())
	}
	return nil
}

// found makes the account agree with a record that is there: the last one may have
// been written and not yet counted.
func (s *Spool) found(h *header, unknown bool) {
	a := &s.account
	if unknown && a.written == (exporter.Count{}) && a.next == 1 {
		a.first, a.taken = h.number, h.before
	}
	if h.number >= a.next {
		s.uncounted = *h
		a.next, a.written = h.number+1, h.end()
	}
}

// header returns the next header whose record is whole, and leaves the cursor there.
func (c *cursor) header(size int64) (h header, ok bool) {
	var b [recordHeader]byte
	for c.at+recordHeader <= size {
		if _, err := c.file.ReadAt(b[:], c.at); err != nil {
			return h, false
		}
		if h, ok := parseHeader(b[:]); ok && h.size() <= size-c.at {
			return h, true
		}
		if !c.resync(size) {
			return h, false
		}
	}
	return h, false
}

// nameUnreadable gives segments without a readable record the numbers of what follows.
func (s *Spool) nameUnreadable() {
	number, before := s.account.next, s.account.written
	for i := len(s.segments) - 1; i >= 0; i-- {
		seg := &s.segments[i]
		if seg.number == 0 {
			seg.number, seg.before = number, before
		}
		number, before = seg.number, seg.before
	}
}
