// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

// replayShutdown is how long the exporters may go without sending anything when
// everything has been replayed.
const replayShutdown = 30 * time.Second

// replayFlags are the flags of dwell replay.
type replayFlags struct {
	exportFlags
	output      string
	hypervisors []string
	start       string
}

func newReplayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Make traces from recordings and listings",
		Long: `Make traces from files: recordings of dwell trace --record, and listings of tracepoint
events as the paper prints them and dwell trace --output events writes them. The kind of
a file is recognised from its content; - is standard input. Needs no privileges.

The traces of a recording are identical to those of the live run, byte for byte; if the
recording was cut off, the traces end with its last complete chunk. A listing contains
one ping after another, without sequence numbers and payloads: dwell makes these up,
so the trace IDs are made up as well.`,
		Example: `  dwell replay pings.rec                               # print the waterfalls of a recording
  dwell replay pings.rec --output table                # time spent in each device, over all pings
  dwell replay pings.rec --output none --otlp-file pings.jsonl
  dwell replay pings.rec --otlp-endpoint localhost:4317
  dwell replay listing.txt --hypervisor 4026532208     # from a listing of events`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return runReplay(cmd, f, files) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "waterfall",
		"what to print on standard output: waterfall, table, events, json or none")
	flags.StringSliceVar(&f.hypervisors, "hypervisor", nil,
		fmt.Sprintf("for listings: inode `number` of the hypervisor's network namespace\n(default: %d, the paper's host)", listing.PaperHost))
	flags.StringVar(&f.start, "start", "",
		"for listings: wall-clock `time` at which they begin, in RFC 3339 format, or now\n(default: their own clock, as if the host had booted in 1970)")
	f.register(cmd)
	return cmd
}

func runReplay(cmd *cobra.Command, f replayFlags, files []string) error {
	ctx := cmd.Context()
	out, err := newReplayOutput(cmd.OutOrStdout(), f.output)
	if err != nil {
		return err
	}
	if err := errors.Join(f.checkStdout(f.output), f.check()); err != nil {
		return err
	}
	sources, err := f.sources(cmd, files)
	defer closeAll(sources)
	if err != nil {
		return err
	}
	f.replayed = true
	sinks, err := f.sinks(ctx, cmd.ErrOrStderr(), sources)
	if err != nil {
		return err
	}
	err = replayAll(ctx, cmd.ErrOrStderr(), sources, out, sinks)
	return errors.Join(err, shutdownReplay(ctx, sinks))
}

// replayAll plays one source after the other and says what was in it. What is wrong
// with one does not keep the next from being played.
func replayAll(ctx context.Context, w io.Writer, sources []source, out *replayOutput, sinks exporter.Multi) error {
	var errs []error
	for _, s := range sources {
		var saw seen
		err := s.play(saw.watch(ctx, out, sinks))
		if errors.Is(err, errOutput) {
			return errors.Join(append(errs, unlessSeenEnough(err))...)
		}
		if errors.Is(err, context.Canceled) {
			return errors.Join(append(errs, fmt.Errorf("%s: interrupted", s.name()))...)
		}
		fmt.Fprintf(w, "dwell: %s: %s\n", s.name(), &saw)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, unlessSeenEnough(out.finish()))...)
}

// unlessSeenEnough drops the error that the reader of standard output is gone: it has
// seen enough (dwell replay | head).
func unlessSeenEnough(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// sinks opens the exporters of the flags. What is on every resource comes from the
// sources, which must therefore agree if anything is exported.
func (f *replayFlags) sinks(ctx context.Context, w io.Writer, sources []source) (exporter.Multi, error) {
	onResource := sources[0].resource()
	sinks, err := f.open(ctx, onResource, newLogger(w))
	if err != nil || len(sinks) == 0 {
		return sinks, err
	}
	for _, s := range sources[1:] {
		if !reflect.DeepEqual(s.resource(), onResource) {
			return nil, errors.Join(shutdownUnused(sinks),
				fmt.Errorf("%s and %s are not from the same host and version of dwell: export them separately", sources[0].name(), s.name()))
		}
	}
	return sinks, nil
}

// shutdownReplay sends what is queued.
func shutdownReplay(ctx context.Context, sinks exporter.Multi) error {
	over, cancel := context.WithCancel(ctx)
	cancel()
	ctx, stop := agent.WithIdleTimeout(over, sinks, replayShutdown)
	defer stop()
	return sinks.Shutdown(ctx)
}
