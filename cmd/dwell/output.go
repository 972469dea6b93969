// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

// The things that dwell trace prints on standard output.
const (
	outputWaterfall = "waterfall"
	outputEvents    = "events"
	outputJSON      = "json"
	outputNone      = "none"
)

func traceOutputs() []string {
	return []string{outputWaterfall, outputEvents, outputJSON, outputNone}
}

func checkOutput(name string) error {
	if !slices.Contains(traceOutputs(), name) {
		return fmt.Errorf("unknown output %q; choose one of: %s", name, strings.Join(traceOutputs(), ", "))
	}
	return nil
}

// output prints what a run sees. Its functions do nothing unless set.
type output struct {
	// start is called once devices can be named, before the first event.
	start func(correlate.Resolver)
	// close waits until everything is printed.
	close func() error
	// skipped says how much there was no time to print.
	skipped func() (n int, what string)
}

// newOutput makes the named output and has the agent feed it. failed is called if w
// cannot be written to.
func newOutput(name string, w io.Writer, opts *agent.Options, failed func()) output {
	switch name {
	case outputWaterfall:
		p := newPrinter(w, failed)
		opts.OnTrace = p.add
		return output{
			start: func(correlate.Resolver) { go p.run() }, close: p.close,
			skipped: func() (int, string) { return p.skipped, "waterfalls" },
		}
	case outputEvents, outputJSON:
		p := newEventPrinter(w, listing.Text(event.All()), listing.Header, failed)
		if name == outputJSON {
			p = newEventPrinter(w, listing.JSON(event.All()), "", failed)
		}
		opts.OnEvent = p.add
		return output{
			start: p.start, close: p.close,
			skipped: func() (int, string) { return p.skipped, "events" },
		}
	}
	return output{
		start: func(correlate.Resolver) {}, close: func() error { return nil },
		skipped: func() (int, string) { return 0, "" },
	}
}

// finish ends the printing and says on stderr what was skipped. A reader that stops early
// (dwell trace | head) is not an error.
func (o output) finish(stderr io.Writer) error {
	err := o.close()
	if n, what := o.skipped(); n > 0 {
		fmt.Fprintf(stderr, "dwell: %d %s not printed because they came faster than they could be printed; "+
			"--output none prints none\n", n, what)
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
