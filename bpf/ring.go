// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"sync/atomic"
	"unsafe"
)

// The layout of a ring: enum in bpf/c/ring.h.
const (
	ringHeader = 4096
	ringGuard  = 4096
	// positionBits are those of a head that are a position; those above count records.
	positionBits = 40
	positionMask = 1<<positionBits - 1
	countMask    = 1<<(64-positionBits) - 1
)

// ring is the reader's side of the ring buffer of one CPU, in memory that is shared with the
// programs: bpf/c/ring.h. Positions are bytes from the beginning, modulo 2^positionBits.
type ring struct {
	head, tail, lost *uint64 // in shared memory
	records          []byte  // the ring, and behind it the guard
	size             uint64  // of the ring, without the guard
	// read is the position up to which it was read, limit up to where it is to be.
	read, limit uint64
	// count is how many records were written.
	count uint64
	// last is the time of the last record that was read, complete when the reader last looked
	// and no record was being written.
	last, complete uint64
	// open are the last driver calls that have begun, in a circle, and opens is how many there were.
	open  []openCall
	opens uint
}

// newRing returns that of the value of a map.
func newRing(value []byte) ring {
	shared := (*kernelRing)(unsafe.Pointer(unsafe.SliceData(value)))
	return ring{
		head: &shared.Head, tail: &shared.Tail, lost: &shared.Lost,
		records: value[ringHeader:], size: uint64(len(value) - ringHeader - ringGuard),
	}
}

// observe returns the position up to which there are records, and updates count.
func (r *ring) observe() uint64 {
	head := atomic.LoadUint64(r.head)
	r.count += (head>>positionBits - r.count) & countMask
	return head & positionMask
}

func (r *ring) unread() uint64 { return (r.observe() - r.read) & positionMask }

func (r *ring) next() []byte { return r.records[r.read&(r.size-1):] }

// time returns when the next record was made, or 0 if it is still being written.
func (r *ring) time() uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(unsafe.SliceData(r.next()))))
}

// record returns the next record, once it has a time, or nil if it cannot be one.
func (r *ring) record() []byte {
	at := r.next()
	n := 8 * int((*kernelRecordEnd)(unsafe.Pointer(unsafe.SliceData(at))).Words)
	if n < endSize || n > widestRecord || uint64(n) > (r.limit-r.read)&positionMask {
		return nil
	}
	return at[:n:n]
}

// pass goes on behind a record, whose memory must not be used any more.
func (r *ring) pass(record []byte) {
	r.last = head(record).Time
	clear(record)
	r.read = (r.read + uint64(len(record))) & positionMask
}

// skip goes on behind everything up to the limit: where a record has no size, the next is not to be
// found. What was written behind that is left alone.
func (r *ring) skip() {
	for r.read != r.limit {
		at := r.next()
		if left := (r.limit - r.read) & positionMask; int(left) < len(at)-ringGuard {
			at = at[:left]
		}
		clear(at) // at the end of the ring, with the guard
		r.read = (r.read + min(uint64(len(at)), r.size-r.read&(r.size-1))) & positionMask
	}
}

// giveBack lets the programs use the room of what was read.
func (r *ring) giveBack() { atomic.StoreUint64(r.tail, r.read) }

// openCall is a record of net_dev_start_xmit to which there will be an end.
type openCall struct {
	begin  uint64 // its position
	size   int    // 0 if it has ended
	record [widestRecord]byte
}

// maxOpen is eight times how many driver calls the programs follow on a CPU: several may share a
// ring, and the end of a call may be lost.
const maxOpen = 64

// opened notes the next record, one of net_dev_start_xmit, for its end.
func (r *ring) opened(record []byte) {
	if r.open == nil {
		r.open = make([]openCall, maxOpen)
	}
	c := &r.open[r.opens%maxOpen]
	r.opens++
	c.begin, c.size = r.read, copy(c.record[:], record)
}

// ended returns the record of the driver call that began at a position, or nil. It is valid until
// the next one is opened.
func (r *ring) ended(begin uint64) []byte {
	for i := range uint(len(r.open)) {
		c := &r.open[(r.opens-1-i)%maxOpen]
		if c.begin == begin && c.size > 0 {
			n := c.size
			c.size = 0
			return c.record[:n]
		}
	}
	return nil
}
