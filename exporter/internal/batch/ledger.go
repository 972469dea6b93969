// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"sync"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// ledger says of every trace what became of it. That of a spool outlives the process.
type ledger interface {
	// Accept takes responsibility for traces that wait in memory.
	Accept(exporter.Count)
	// Refuse counts traces that were never taken over.
	Refuse(exporter.Cause, exporter.Count)
	// Lose counts traces that waited in memory and wait no longer.
	Lose(exporter.Cause, exporter.Count)
	// Settle ends a sending: of the batch, lost was lost and all else was received.
	Settle(batch, lost exporter.Count, cause exporter.Cause)
	// SettleAll is Settle for losses of several causes.
	SettleAll(batch exporter.Count, lost map[exporter.Cause]exporter.Count)
	Stats() exporter.Stats
}

var (
	_ ledger = (*spool.Spool)(nil)
	_ ledger = (*memory)(nil)
)

// memory is a ledger that ends with the process.
type memory struct {
	mu    sync.Mutex
	stats exporter.Stats
}

func newMemory() *memory {
	return &memory{stats: exporter.Stats{Lost: make(map[exporter.Cause]exporter.Count)}}
}

func (m *memory) Accept(c exporter.Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Queued = m.stats.Queued.Plus(c)
}

func (m *memory) Refuse(cause exporter.Cause, c exporter.Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Lost[cause] = m.stats.Lost[cause].Plus(c)
}

func (m *memory) Lose(cause exporter.Cause, c exporter.Count) { m.Settle(c, c, cause) }

func (m *memory) Settle(batch, lost exporter.Count, cause exporter.Cause) {
	m.SettleAll(batch, map[exporter.Cause]exporter.Count{cause: lost})
}

func (m *memory) SettleAll(batch exporter.Count, lost map[exporter.Cause]exporter.Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Queued = m.stats.Queued.Minus(batch)
	m.stats.Sent = m.stats.Sent.Plus(batch)
	for cause, c := range lost {
		m.stats.Sent = m.stats.Sent.Minus(c)
		if c != (exporter.Count{}) {
			m.stats.Lost[cause] = m.stats.Lost[cause].Plus(c)
		}
	}
}

func (m *memory) Stats() exporter.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return exporter.Stats{}.Plus(m.stats)
}
