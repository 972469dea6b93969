// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/table"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/recording"
	"github.com/dwelltrace/dwell/internal/study/listing"
	"github.com/dwelltrace/dwell/internal/tally"
)

// errOutput marks an error of standard output, after which nothing more is replayed.
var errOutput = errors.New("standard output")

// replayOutput is what is printed on standard output. Unlike live, nothing is left out
// that comes faster than it can be printed.
type replayOutput struct {
	traces func([]*trace.Trace) error
	event  func(*event.Event, correlate.Resolver) error
	// finish prints what is left.
	finish func() error
}

func newReplayOutput(w io.Writer, format string) (*replayOutput, error) {
	out := &replayOutput{
		traces: func([]*trace.Trace) error { return nil },
		event:  func(*event.Event, correlate.Resolver) error { return nil },
		finish: func() error { return nil },
	}
	switch format {
	case "none":
	case "waterfall":
		p := waterfall.NewPrinter(w, waterfallOptions(w))
		out.traces = func(ts []*trace.Trace) error { return p.Export(context.Background(), ts) }
	case "table":
		t := table.New(0)
		out.traces = func(ts []*trace.Trace) error { return t.Export(context.Background(), ts) }
		out.finish = func() error { return t.Write(w, table.Options{ASCII: !utf8Locale(os.Getenv)}) }
	case "events":
		out.printEvents(w, listing.Header, listing.Text(event.All()))
	case "json":
		out.printEvents(w, "", listing.JSON(event.All()))
	default:
		return nil, fmt.Errorf("unknown output %q; choose one of: waterfall, table, events, json, none", format)
	}
	return out, nil
}

// printEvents prints every event as a line, below a header.
func (o *replayOutput) printEvents(w io.Writer, header string, format listing.Format) {
	buffered := bufio.NewWriter(w)
	_, _ = buffered.WriteString(header) // an error comes again with Flush
	var line []byte
	o.event = func(ev *event.Event, names correlate.Resolver) error {
		line = format(line[:0], ev, names)
		_, err := buffered.Write(line)
		return err
	}
	o.finish = buffered.Flush
}

// seen counts what was in a source.
type seen struct {
	tally.Counts
	events uint64
}

// watch returns a sink that counts, prints and exports. What an exporter could not
// take is in the error of its Shutdown.
func (s *seen) watch(ctx context.Context, out *replayOutput, sinks exporter.Multi) recording.Sink {
	return recording.Sink{
		Traces: func(ts []*trace.Trace) error {
			for _, t := range ts {
				s.Add(t)
			}
			if err := out.traces(ts); err != nil {
				return fmt.Errorf("%w: %w", errOutput, err)
			}
			_ = sinks.Export(ctx, ts)
			return ctx.Err()
		},
		Event: func(ev *event.Event, names correlate.Resolver) error {
			s.events++
			if err := out.event(ev, names); err != nil {
				return fmt.Errorf("%w: %w", errOutput, err)
			}
			return ctx.Err()
		},
	}
}

// String returns, for example:
//
//	2 pings: 1 complete, 0 dropped, 1 incomplete (no_request: 1); 20 events
func (s *seen) String() string { return fmt.Sprintf("%s; %d events", s.Counts, s.events) }
