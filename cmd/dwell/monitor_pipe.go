// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/table"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/monitor"
	"github.com/dwelltrace/dwell/internal/tally"
)

// silentFor is how long there may be no ping before it is said what to check.
const silentFor = 10 * time.Second

// monitorPipe prints what comes, where there is no screen.
type monitorPipe struct {
	tenant string
	count  uint64
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	file   *lines
	// print takes each trace or is nil, lines each line.
	print exporter.Exporter
	lines *lines
	table *table.Table
	stop  context.CancelFunc

	seen                 tally.Counts
	lost, missed, unread uint64
	gone                 bool
	err                  error
}

func newMonitorPipe(cmd *cobra.Command, f monitorFlags, file *lines, stop context.CancelFunc) *monitorPipe {
	p := &monitorPipe{
		tenant: f.tenant, count: f.count, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(),
		log: newLogger(cmd.ErrOrStderr()), file: file, stop: stop,
	}
	switch f.output {
	case outputWaterfall:
		p.print = waterfall.NewPrinter(p.stdout, waterfallOptions(p.stdout))
	case outputTable:
		p.table = table.New(0)
		p.print = p.table
	case outputJSON:
		p.lines = newLines(p.stdout, nil)
	}
	return p
}

// run prints until ctx is done, or as many pings came as were asked for.
func (p *monitorPipe) run(ctx context.Context, feed monitor.Feed) error {
	silent := time.AfterFunc(silentFor, p.nothingYet)
	defer silent.Stop()
	handle := feed.Handle
	feed.Handle = func(m monitor.Message) {
		if b, ok := m.(monitor.Batch); ok && len(b.Traces) > 0 {
			silent.Stop()
		}
		handle(m)
	}
	err := feed.Run(ctx)
	if p.table != nil && err == nil {
		err = p.table.Write(p.stdout, table.Options{ASCII: !utf8Locale(os.Getenv)})
	}
	err = errors.Join(err, p.err, p.lines.close())
	if err == nil || p.seen.Pings() > 0 {
		fmt.Fprintln(p.stderr, "dwell:", p.summary())
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil // who reads has seen enough: dwell monitor | head
	}
	return err
}

// nothingYet says what may be the reason that no ping comes.
func (p *monitorPipe) nothingYet() {
	whose := "no ping"
	if p.tenant != "" {
		whose += " of tenant " + p.tenant
	}
	p.log.Info(fmt.Sprintf("%s for %v; still waiting. What to check:", whose, silentFor))
	for _, s := range monitor.Checks(p.tenant) {
		p.log.Info("  " + s)
	}
}

func (p *monitorPipe) handle(m monitor.Message) {
	switch m := m.(type) {
	case monitor.Connected:
		if p.gone {
			p.log.Info("the agent is back")
		}
		p.gone = false
	case monitor.Gone:
		if !p.gone { // each attempt fails the same way
			p.log.Warn(m.Err.Error() + "; trying again")
		}
		p.gone = true
	case monitor.Counted:
		p.missed += m.Missed
	case monitor.Batch:
		p.batch(m)
	}
}

func (p *monitorPipe) batch(b monitor.Batch) {
	if p.err != nil || p.enough() {
		return
	}
	if b.Unread > 0 && p.unread == 0 {
		p.log.Warn("a line of the agent cannot be read; such lines are counted", "error", b.Err)
	}
	p.lost, p.unread = p.lost+b.Lost, p.unread+b.Unread
	p.missed -= min(p.missed, b.Old)
	if p.count > 0 {
		b = cutTo(b, p.count-p.seen.Pings())
	}
	for _, t := range b.Traces {
		p.seen.Add(t)
	}
	p.err = errors.Join(p.show(b.Traces), p.lines.write(b.Lines), p.file.write(b.Lines))
	if p.err != nil || p.enough() {
		p.stop()
	}
}

func (p *monitorPipe) show(traces []*trace.Trace) error {
	if p.print == nil || len(traces) == 0 {
		return nil
	}
	return p.print.Export(context.Background(), traces)
}

func (p *monitorPipe) enough() bool { return p.count > 0 && p.seen.Pings() >= p.count }

// cutTo shortens a batch to so many traces. A line has one.
func cutTo(b monitor.Batch, n uint64) monitor.Batch {
	b.Traces = b.Traces[:min(uint64(len(b.Traces)), n)]
	b.Lines = b.Lines[:min(uint64(len(b.Lines)), n)]
	return b
}

// summary returns, for example:
//
//	12 pings: 12 complete, 0 dropped, 0 incomplete; 3 lost because they came too fast
func (p *monitorPipe) summary() string {
	s := p.seen.String()
	for _, l := range []struct {
		n   uint64
		why string
	}{
		{p.lost, "lost because they came too fast"},
		{p.missed, "missed while the agent could not be reached"},
		{p.unread, "lines that could not be read"},
	} {
		if l.n > 0 {
			s += fmt.Sprintf("; %d %s", l.n, l.why)
		}
	}
	return s
}

// lines writes lines as they came. A nil one writes nothing.
type lines struct {
	w      *bufio.Writer
	closer io.Closer
	err    error
}

func newLines(w io.Writer, c io.Closer) *lines { return &lines{w: bufio.NewWriter(w), closer: c} }

// openLines creates the file of --otlp-file, or empties it; "" is none.
func openLines(path string) (*lines, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return newLines(os.Stdout, nil), nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("cannot write the OTLP file: %w (--otlp-file)", err)
	}
	return newLines(f, f), nil
}

// write writes lines, each with its newline. After an error nothing more is written.
func (l *lines) write(list [][]byte) error {
	if l == nil {
		return nil
	}
	for _, line := range list {
		_, _ = l.w.Write(line)
		_ = l.w.WriteByte('\n') // an error comes again with Flush
	}
	l.err = l.w.Flush() // bufio.Writer's errors stay
	return l.err
}

// handle writes the lines of a batch. Its error is that of close.
func (l *lines) handle(m monitor.Message) {
	if b, ok := m.(monitor.Batch); ok {
		_ = l.write(b.Lines)
	}
}

// close returns the first error of all.
func (l *lines) close() error {
	if l == nil {
		return nil
	}
	err := l.err
	if l.closer != nil {
		err = errors.Join(err, l.closer.Close())
	}
	if err != nil {
		return fmt.Errorf("cannot write the traces: %w", err)
	}
	return nil
}
