// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// Printer is an exporter that draws every trace at once, with an empty line between
// two. It holds nothing back.
type Printer struct {
	w io.Writer
	o Options

	mu    sync.Mutex
	stats exporter.Stats
	err   error
}

var _ exporter.Exporter = (*Printer)(nil)

// NewPrinter returns a printer that writes to w.
func NewPrinter(w io.Writer, o Options) *Printer {
	return &Printer{w: w, o: o, stats: exporter.Stats{Lost: make(map[exporter.Cause]exporter.Count)}}
}

// Export draws the traces. The error is that of the writer; nothing is written
// after the first.
func (p *Printer) Export(_ context.Context, traces []*trace.Trace) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range traces {
		c := exporter.CountOf(t)
		if p.err == nil {
			p.err = p.print(t)
		}
		if p.err != nil {
			p.stats.Lost[exporter.CauseWrite] = p.stats.Lost[exporter.CauseWrite].Plus(c)
			continue
		}
		p.stats.Sent = p.stats.Sent.Plus(c)
	}
	return p.err
}

// print draws into memory first, so that a trace reaches the writer in one piece.
func (p *Printer) print(t *trace.Trace) error {
	var b bytes.Buffer
	if p.stats.Sent.Traces > 0 {
		b.WriteByte('\n')
	}
	if err := Write(&b, t, p.o); err != nil {
		return err
	}
	_, err := p.w.Write(b.Bytes())
	return err
}

// Shutdown returns the error of the writer, if there was one.
func (p *Printer) Shutdown(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("cannot print waterfalls: %w", p.err)
	}
	return nil
}

// Stats returns what became of the traces so far.
func (p *Printer) Stats() exporter.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return exporter.Stats{}.Plus(p.stats)
}
