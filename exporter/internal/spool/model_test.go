// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// model is where every trace must be: what a spool does, without files.
type model struct {
	// pending are the batches that were accepted and wait in memory.
	pending []item
	// queue are those on disk, the oldest first.
	queue []item
	// flight is the batch that is being sent, if any.
	flight *item
	place  place
	// records are what it was in the queue, if it is pinned.
	records []item
	// older is how many at the head of the queue came before it.
	older int

	accepted, sent exporter.Count
	lost           map[exporter.Cause]exporter.Count
}

// place is where the batch in flight would be found by the next process.
type place int

const (
	held   place = iota // in flight again
	memory              // nowhere
	pinned              // in the queue or in flight, depending on whether the disk had room for a copy
)

// item is a batch, known by its number, or several in one.
type item struct {
	number, size int
	parts        []item
}

// join makes one of several.
func join(items []item) item {
	if len(items) == 1 {
		return items[0]
	}
	all := item{parts: slices.Clone(items)}
	for _, i := range items {
		all.size += i.size
	}
	return all
}

// count is unlike that of any other batch, and of any sum of some.
func (i item) count() exporter.Count {
	if i.parts != nil {
		return countOf(i.parts...)
	}
	r := rand.New(rand.NewPCG(uint64(i.number), 1))
	return exporter.Count{Traces: r.Int64N(1<<20) + 1, Spans: r.Int64N(1<<24) + 1}
}

// batch returns the batch: bytes that are unlike those of any other. Some contain what
// begins a record.
func (i item) batch() spool.Batch {
	if i.parts != nil {
		all := spool.Batch{Count: i.count()}
		for _, p := range i.parts {
			all.Payload = append(all.Payload, p.batch().Payload...)
		}
		return all
	}
	source := rand.NewChaCha8([32]byte{byte(i.number), byte(i.number >> 8)})
	payload := make([]byte, max(i.size, 16))
	_, _ = source.Read(payload) // never fails
	binary.LittleEndian.PutUint64(payload, uint64(i.number))
	if i.number%3 == 0 {
		copy(payload[8:], "DWRC")
	}
	return spool.Batch{Payload: payload, Count: i.count()}
}

func (i item) equal(b spool.Batch) bool {
	want := i.batch()
	return bytes.Equal(want.Payload, b.Payload) && want.Count == b.Count
}

func countOf(items ...item) (c exporter.Count) {
	for _, i := range items {
		c = c.Plus(i.count())
	}
	return c
}

func newModel() model { return model{lost: map[exporter.Cause]exporter.Count{}} }

func (m model) clone() model {
	m.pending, m.queue, m.lost = slices.Clone(m.pending), slices.Clone(m.queue), maps.Clone(m.lost)
	return m
}

func (m *model) lose(cause exporter.Cause, c exporter.Count) {
	if c != (exporter.Count{}) {
		m.lost[cause] = m.lost[cause].Plus(c)
	}
}

// drop loses the n oldest of the queue to the limit.
func (m *model) drop(n int) {
	m.lose(exporter.CauseSpoolFull, countOf(m.queue[:n]...))
	m.queue, m.older = m.queue[n:], max(m.older-n, 0)
}

// killed returns how the next process may find things: what was in memory is lost.
func (m model) killed() []model {
	m = m.clone()
	m.lose(exporter.CauseKilled, countOf(m.pending...))
	m.pending, m.older = nil, 0 // what is left over is the oldest
	switch {
	case m.flight == nil || m.place == held:
		return []model{m}
	case m.place == memory:
		m.lose(exporter.CauseKilled, m.flight.count())
		m.flight, m.place = nil, held
		return []model{m}
	}
	again := m.clone()
	again.queue = append(slices.Clone(m.records), again.queue...)
	again.flight, again.place = nil, held
	m.place = held
	return []model{again, m}
}

// onDisk is what the next process would find.
func (m model) onDisk() exporter.Count {
	c := countOf(m.queue...)
	if m.flight != nil && m.place != memory {
		c = c.Plus(m.flight.count())
	}
	return c
}

// queued is what is neither sent nor lost.
func (m model) queued() exporter.Count {
	c := countOf(m.queue...).Plus(countOf(m.pending...))
	if m.flight != nil {
		c = c.Plus(m.flight.count())
	}
	return c
}

// diff compares with what a spool says of its whole life.
func (m model) diff(s *spool.Spool) string {
	got := s.Lifetime()
	got.SpoolBytes, got.SpoolsFailing = 0, 0 // are measured
	if waits := m.onDisk() != (exporter.Count{}); got.OldestSpooled.IsZero() == waits || got.Oldest != got.OldestSpooled {
		return fmt.Sprintf("%v are on disk, the oldest since %v", m.onDisk(), got.OldestSpooled)
	}
	got.Oldest, got.OldestSpooled = time.Time{}, time.Time{}
	return cmp.Diff(exporter.Stats{Sent: m.sent, Queued: m.queued(), Spooled: m.onDisk(), Lost: m.lost}, got)
}
