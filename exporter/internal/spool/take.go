// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/dwelltrace/dwell/exporter"
)

// cursor is where the next record is read from, in the oldest segment.
type cursor struct {
	file *os.File
	id   uint64
	at   int64
	// pinned is set while the record before first is being sent from its segment,
	// because it could not be moved to the slot.
	pinned bool
	// after is the header of the pinned record.
	after header
	// err is why the segment could not be opened if that may pass, as when the process
	// has too many open files.
	err error
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
	}
	c.file, c.id, c.at = nil, 0, 0
}

// Take takes the oldest batch out and puts it in flight; Settle ends that. The payload
// is nil if there is none, or none that can be read now. What will never be readable is
// skipped and counted.
func (s *Spool) Take() Batch {
	if some := s.TakeSome(1); len(some) > 0 {
		return some[0]
	}
	return Batch{}
}

// TakeSome is Take for up to n batches, which are in flight together.
func (s *Spool) TakeSome(n int) []Batch {
	s.io.Lock()
	defer s.io.Unlock()
	defer s.measure()
	for s.account.written != s.account.taken {
		h, payload, ok := s.readRecord()
		if s.unreadable(s.read.err) {
			return nil
		}
		if !ok {
			s.corrupt(s.account.written.Minus(s.account.taken), s.account.next, s.account.written)
			break
		}
		s.corrupt(h.before.Minus(s.account.taken), h.number, h.before)
		if payload == nil {
			s.corrupt(h.count, h.number+1, h.end())
			continue
		}
		s.place = h.number
		batches := []Batch{{Payload: payload, Count: h.count}}
		payload, batches = s.readMore(&h, payload, batches, n)
		s.takeOut(&h, payload)
		s.removeRead()
		return batches
	}
	s.removeRead()
	return nil
}

// readMore adds the batches that follow h in its segment and are good, up to n in all and
// not more than the slot takes. h becomes the header of them all.
func (s *Spool) readMore(h *header, payload []byte, batches []Batch, n int) ([]byte, []Batch) {
	for len(batches) < n {
		next, ok := s.nextHeader()
		if !ok || next.number != h.number+1 || next.before != h.end() || recordHeader+int64(len(payload))+int64(next.length) > s.max/4 {
			break
		}
		more := make([]byte, next.length)
		if _, err := s.read.file.ReadAt(more, s.read.at+recordHeader); err != nil || sum(more) != next.sum {
			break // whoever takes the next one counts it
		}
		s.read.at += next.size()
		payload = append(payload, more...)
		batches = append(batches, Batch{Payload: more, Count: next.count})
		h.number, h.count, h.length = next.number, h.count.Plus(next.count), uint32(len(payload))
	}
	return payload, batches
}

// unreadable notes that the oldest segment cannot be opened now, or can.
func (s *Spool) unreadable(err error) bool {
	switch tell := s.unopened.Set(err != nil); {
	case tell && err != nil:
		s.log.Warn("cannot read the spool; its traces stay there until it is readable", "error", err)
	case tell:
		s.log.Info("reads from the spool recovered")
	}
	return err != nil
}

// corrupt counts what could not be read before the record of the given number.
func (s *Spool) corrupt(c exporter.Count, first uint64, taken exporter.Count) {
	if c == (exporter.Count{}) {
		return
	}
	s.log.Warn("part of the spool cannot be read; its traces are lost", "lost", c.String())
	s.update(func(a *account) {
		a.lose(exporter.CauseSpoolCorrupt, c)
		a.first, a.taken = first, taken
	})
}

// takeOut moves a record into the slot. When the disk is so full that not even that
// works, the record stays where it is until it is settled.
func (s *Spool) takeOut(h *header, payload []byte) {
	number := s.sending()
	if err := s.putSlot(number, payload, h.count); err != nil {
		s.read.pinned, s.read.after = true, *h
		return
	}
	s.update(func(a *account) {
		a.inflight, s.held = number, h.count
		s.ages.takeOut(a.first)
		a.first, a.taken = h.number+1, h.end()
	})
}

// release takes out the record that was sent from its segment.
func (s *Spool) release(a *account) {
	if s.read.pinned {
		a.first, a.taken = s.read.after.number+1, s.read.after.end()
		s.read.pinned = false
	}
}

// removeRead removes the segments of which everything was taken out.
func (s *Spool) removeRead() {
	for len(s.segments) > 0 && !s.read.pinned {
		done := s.account.written == s.account.taken
		if len(s.segments) > 1 {
			done = s.account.first >= s.segments[1].number
		}
		if !done {
			return
		}
		s.removeOldest()
		s.relieved()
	}
}

// relieved notes that an empty spool is neither full nor fills the disk.
func (s *Spool) relieved() {
	if len(s.segments) > 0 {
		return
	}
	_ = s.disk(nil) // what we took is free again
	if s.full.Set(false) {
		s.log.Info("the spool is empty again", "lost", s.Stats().Lost[exporter.CauseSpoolFull].String())
	}
}

// readRecord returns the next record that was not taken out; payload is nil if its
// checksum is wrong. It reports false if there is none.
func (s *Spool) readRecord() (h header, payload []byte, ok bool) {
	s.read.err = nil
	for len(s.segments) > 0 {
		if h, ok := s.nextHeader(); ok {
			payload := make([]byte, h.length)
			if _, err := s.read.file.ReadAt(payload, s.read.at+recordHeader); err != nil || sum(payload) != h.sum {
				payload = nil
			}
			s.read.at += h.size()
			return h, payload, true
		}
		if len(s.segments) == 1 || s.read.err != nil {
			break
		}
		// The counts of the next record say what was in it.
		s.removeOldest()
	}
	return h, nil, false
}

// nextHeader finds the next header in the oldest segment of a record that was not
// taken out, and leaves the cursor there.
func (s *Spool) nextHeader() (h header, ok bool) {
	oldest := &s.segments[0]
	err := s.read.open(s.path(oldest.id), oldest.id)
	s.read.err = err
	if errors.Is(err, os.ErrNotExist) {
		s.read.err = nil // the file was removed; that is permanent
	}
	if err != nil {
		return h, false
	}
	var b [recordHeader]byte
	for s.read.at+recordHeader <= oldest.size {
		if _, err := s.read.file.ReadAt(b[:], s.read.at); err != nil {
			return h, false
		}
		h, ok := parseHeader(b[:])
		switch {
		case !ok || !s.plausible(&h, oldest.size-s.read.at):
			if !s.read.resync(oldest.size) {
				return h, false
			}
		case h.number < s.account.first:
			s.read.at += h.size()
		default:
			return h, true
		}
	}
	return h, false
}

// plausible reports whether a header agrees with the account.
func (s *Spool) plausible(h *header, room int64) bool {
	return h.size() <= room && h.number < s.account.next &&
		(h.number < s.account.first || h.before.Traces >= s.account.taken.Traces && h.before.Spans >= s.account.taken.Spans) &&
		h.end().Traces <= s.account.written.Traces && h.end().Spans <= s.account.written.Spans
}

func (c *cursor) open(path string, id uint64) error {
	if c.file != nil && c.id == id {
		return nil
	}
	c.close()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	c.file, c.id, c.at = f, id, segmentHeader
	return nil
}

// resync moves the cursor to the next place that looks like a record.
func (c *cursor) resync(size int64) bool {
	const window = 64 << 10
	b := make([]byte, window)
	for at := c.at + 1; at < size; {
		n, err := c.file.ReadAt(b[:min(window, size-at)], at)
		if i := bytes.Index(b[:n], []byte(recordMagic)); i >= 0 {
			c.at = at + int64(i)
			return true
		}
		if err != nil && !errors.Is(err, io.EOF) || n < len(recordMagic) {
			return false
		}
		at += int64(n - len(recordMagic) + 1)
	}
	return false
}
