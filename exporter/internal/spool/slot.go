// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dwelltrace/dwell/exporter"
)

// slot is the file of the batch that is being sent. It is overwritten again and
// again, so that a batch that goes straight through costs a copy into the page cache
// and hardly ever a write to the disk.
type slot struct {
	file *os.File
	size int64
	// number is that of the record in the file; it counts if the account names it.
	number uint64
}

// put writes a batch for the sending of the given number.
func (s *slot) put(number uint64, payload []byte, c exporter.Count) error {
	s.number = 0
	h := header{length: uint32(len(payload)), number: number, count: c, sum: sum(payload)}
	if err := h.writeAt(s.file, 0, payload); err != nil {
		_ = s.file.Truncate(s.size) // what was written in part would take room that nobody counts
		return err
	}
	s.size = max(s.size, h.size())
	s.number = number
	return nil
}

// truncate makes the file smaller.
func (s *slot) truncate(size int64) error {
	if err := s.file.Truncate(size); err != nil {
		return err
	}
	s.size = size
	return nil
}

// load reads what an earlier process left. payload is nil if it is not whole.
func (s *slot) load() (h header, payload []byte, err error) {
	b, err := io.ReadAll(io.NewSectionReader(s.file, 0, 1<<62))
	if err != nil {
		return h, nil, err
	}
	s.size = int64(len(b))
	h, ok := parseHeader(b)
	if !ok || int64(h.length) > int64(len(b)-recordHeader) {
		return h, nil, nil
	}
	payload = b[recordHeader : recordHeader+int(h.length)]
	if sum(payload) != h.sum {
		return h, nil, nil
	}
	s.number = h.number
	return h, payload, nil
}

// Batch is an encoded request.
type Batch struct {
	Payload []byte
	Count   exporter.Count
}

// putSlot writes to the slot. That this works says nothing of whether there is room for
// more: the file has its size.
//
// The slot takes a quarter of the spool at most: it never shrinks, and one huge trace
// would leave no room for anything else.
func (s *Spool) putSlot(number uint64, payload []byte, c exporter.Count) error {
	limit := s.max / 4
	if recordHeader+int64(len(payload)) > limit {
		return errTooLarge
	}
	if s.slot.size > limit { // that of an earlier process with another limit
		if err := s.slot.truncate(limit); err != nil {
			return s.disk(err)
		}
	}
	if err := s.slot.put(number, payload, c); err != nil {
		return s.disk(err)
	}
	return nil
}

var errTooLarge = errors.New("the batch takes more than a quarter of the spool")

// Hold puts a batch from memory in flight; Settle ends that. After an
// error, which is ErrDisk, the batch can be sent all the same, but a kill in the
// middle would count it as lost though it may have been received.
func (s *Spool) Hold(b Batch) error {
	s.io.Lock()
	defer s.io.Unlock()
	defer s.measure()
	s.place = s.account.next
	if s.absent() {
		return ErrDisk
	}
	number := s.sending()
	if err := s.putSlot(number, b.Payload, b.Count); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	s.update(func(a *account) {
		a.inflight, s.held = number, b.Count
		s.ages.inFlight = time.Now()
	})
	return nil
}

// sending returns a number for the next sending.
func (s *Spool) sending() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.slot.number, s.account.writes) + 1
}

// Left returns the batch that was in flight when the earlier process ended, and is in
// flight again. The payload is nil if there is none.
func (s *Spool) Left() Batch {
	s.io.Lock()
	defer s.io.Unlock()
	if s.account.inflight == 0 {
		return Batch{}
	}
	h, payload, err := s.slot.load()
	if err != nil || payload == nil || h.number != s.account.inflight {
		// Open could read it: the disk is failing.
		s.update(func(a *account) {
			a.lose(exporter.CauseSpoolCorrupt, s.held)
			a.inflight, s.held = 0, exporter.Count{}
			s.ages.inFlight = time.Time{}
		})
		return Batch{}
	}
	return Batch{Payload: payload, Count: h.count}
}
