// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// backlogFactor is how many times what was asked for the rings the backlog may hold.
	backlogFactor = 3
	// maxChunkBytes is how much of the backlog is taken from the system and given back at
	// a time.
	maxChunkBytes = 1 << 20
)

// backlog holds records that were taken from the rings and not handed on yet, oldest
// first. Its memory is the system's, not Go's: it is given back as soon as it is not
// needed, and the garbage collector does not let the rest grow in proportion to it.
type backlog struct {
	chunkBytes int
	// free is how many more chunks may be taken.
	free   int
	chunks []*chunk // the last is being filled
	spare  *chunk   // so that quiet times need no system call
	// bytes are in chunks.
	bytes int
}

// chunk is a piece of memory with whole records in mem[read:used].
type chunk struct {
	mem        []byte
	read, used int
}

// newBacklog returns an empty one for rings that were asked to have a size together. It has its first chunk,
// so that events still pass through even when there is no more memory.
func newBacklog(ring int) (*backlog, error) {
	size := max(os.Getpagesize(), min(maxChunkBytes, ring/wakeFraction))
	b := &backlog{chunkBytes: size, free: backlogFactor * ring / size}
	var err error
	b.spare, err = b.more()
	return b, err
}

// room returns where to put the next record: no bytes, with room for the widest. It is nil
// if there is none.
func (b *backlog) room() []byte {
	if n := len(b.chunks); n > 0 {
		if c := b.chunks[n-1]; c.used+widestRecord <= len(c.mem) {
			return c.mem[c.used:c.used:len(c.mem)]
		}
	}
	c := b.take()
	if c == nil {
		return nil
	}
	b.chunks = append(b.chunks, c)
	return c.mem[:0]
}

// take returns an empty chunk, or nil if all are in use or the system has no memory.
func (b *backlog) take() *chunk {
	if c := b.spare; c != nil {
		b.spare = nil
		return c
	}
	if b.free == 0 {
		return nil
	}
	c, err := b.more()
	if err != nil {
		return nil // what the rings then have no room for is counted there
	}
	return c
}

// more takes a chunk from the system.
func (b *backlog) more() (*chunk, error) {
	mem, err := unix.Mmap(-1, 0, b.chunkBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for events: %w", err)
	}
	b.free--
	return &chunk{mem: mem}, nil
}

// keep makes the n bytes that were put into room a record.
func (b *backlog) keep(n int) {
	b.chunks[len(b.chunks)-1].used += n
	b.bytes += n
}

// next returns the oldest chunk, which is the caller's until it is given back, or nil.
func (b *backlog) next() *chunk {
	if len(b.chunks) == 0 {
		return nil
	}
	c := b.chunks[0]
	b.chunks[0] = nil
	b.chunks = b.chunks[1:]
	b.bytes -= c.used
	return c
}

// giveBack returns a chunk that is no longer needed.
func (b *backlog) giveBack(c *chunk) error {
	if b.spare == nil {
		c.read, c.used = 0, 0
		b.spare = c
		return nil
	}
	b.free++
	return unix.Munmap(c.mem)
}

// close gives everything back.
func (b *backlog) close() (err error) {
	if b.spare != nil {
		err = unix.Munmap(b.spare.mem)
	}
	for _, c := range b.chunks {
		err = errors.Join(err, unix.Munmap(c.mem))
	}
	b.spare, b.chunks, b.bytes, b.free = nil, nil, 0, 0
	return err
}
