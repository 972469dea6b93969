// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

// eventQueue is how many events may wait to be printed.
const eventQueue = 1 << 16

// eventPrinter prints a line per event without ever delaying the tracing. Events for
// which there is no time are skipped and counted.
type eventPrinter struct {
	w       io.Writer
	format  listing.Format
	header  string
	queue   chan event.Event
	done    chan error
	failed  func()
	skipped int
}

func newEventPrinter(w io.Writer, format listing.Format, header string, failed func()) *eventPrinter {
	return &eventPrinter{
		w: w, format: format, header: header, failed: failed,
		queue: make(chan event.Event, eventQueue), done: make(chan error, 1),
	}
}

// start begins to print, with names from names.
func (p *eventPrinter) start(names correlate.Resolver) {
	go func() {
		err := p.run(names)
		if err != nil {
			p.failed()
		}
		for range p.queue { // there is no reader any more
		}
		p.done <- err
	}()
}

// run prints until the queue is closed. It flushes when nothing waits.
func (p *eventPrinter) run(names correlate.Resolver) error {
	buffered := bufio.NewWriterSize(p.w, 1<<16)
	if _, err := buffered.WriteString(p.header); err != nil {
		return err
	}
	lines := listing.NewWriter(buffered, names, p.format)
	for ev := range p.queue {
		if err := lines.Write(&ev); err != nil {
			return err
		}
		if len(p.queue) == 0 {
			if err := buffered.Flush(); err != nil {
				return err
			}
		}
	}
	return buffered.Flush()
}

// add queues an event to be printed, if there is room.
func (p *eventPrinter) add(ev *event.Event) {
	select {
	case p.queue <- *ev:
	default:
		p.skipped++
	}
}

// close waits until what is queued has been printed. The error is that of the writer.
func (p *eventPrinter) close() error {
	close(p.queue)
	select {
	case err := <-p.done:
		return err
	case <-time.After(printTimeout):
		return fmt.Errorf("standard output is blocked; %d events were not printed", len(p.queue))
	}
}
