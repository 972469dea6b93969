// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/waterfall"
)

const (
	// printQueue is how many traces may wait to be printed.
	printQueue = 256
	// printTimeout is how long the program waits at its end for a reader that does not
	// read.
	printTimeout = time.Second
)

// printer prints waterfalls without ever delaying the tracing: a terminal is slow, and a
// pager does not read until its user pages down. Traces for which there is no time are
// skipped and counted.
type printer struct {
	out   *waterfall.Printer
	queue chan *trace.Trace
	done  chan struct{}
	// failed is called once if the output cannot be written to.
	failed  func()
	skipped int
}

func newPrinter(w io.Writer, failed func()) *printer {
	return &printer{
		out:    waterfall.NewPrinter(w, waterfallOptions(w)),
		queue:  make(chan *trace.Trace, printQueue),
		done:   make(chan struct{}),
		failed: failed,
	}
}

// run prints until close is called.
func (p *printer) run() {
	defer close(p.done)
	failed := false
	for t := range p.queue {
		if err := p.out.Export(context.Background(), []*trace.Trace{t}); err != nil && !failed {
			failed = true
			p.failed()
		}
	}
}

// add queues a trace to be printed, if there is room.
func (p *printer) add(t *trace.Trace) {
	select {
	case p.queue <- t:
	default:
		p.skipped++
	}
}

// close waits until what is queued has been printed. The error is that of the writer.
func (p *printer) close() error {
	close(p.queue)
	select {
	case <-p.done:
		return p.out.Shutdown(context.Background())
	case <-time.After(printTimeout):
		return fmt.Errorf("standard output is blocked; %d waterfalls were not printed", len(p.queue))
	}
}

// waterfallOptions suit the waterfall to what it is written to: the terminal's width
// and colours, or plain text for a file or a pipe.
func waterfallOptions(w io.Writer) waterfall.Options {
	opts := waterfall.Options{Color: colourful(w), ASCII: !utf8Locale(os.Getenv)}
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			opts.Width = width
		}
	}
	return opts
}

// utf8Locale reports whether the locale's character set is UTF-8, as locale(7) says
// which variable decides. Without any of them it is taken to be.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}
