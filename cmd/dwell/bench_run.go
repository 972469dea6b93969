// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/pinger"
	"github.com/dwelltrace/dwell/internal/study/report"
)

func (f *benchFlags) run(cmd *cobra.Command) error {
	if err := privileges("dwell bench"); err != nil {
		return err
	}
	r, err := f.measure(cmd)
	if cmd.Context().Err() != nil {
		return errors.Join(errors.New("interrupted, no report written"), withoutCancel(err))
	}
	if err != nil {
		return err
	}
	return f.show(cmd, r)
}

// withoutCancel drops the error that only says that the context ended.
func withoutCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// measure does all that was asked for.
func (f *benchFlags) measure(cmd *cobra.Command) (*bench.Result, error) {
	machine, err := bench.ThisMachine()
	if err != nil {
		return nil, err
	}
	r := &bench.Result{
		Version: bench.Version, Machine: machine, Protocol: f.Protocol, Started: time.Now(),
		Tool: bench.Tool{Dwell: version, Go: runtime.Version(), Command: commandLine()},
	}
	log := newLogger(cmd.ErrOrStderr())
	f.Start = func(s bench.Scope) (bench.Recorder, error) { return startRecording(s, f.hastened, log) }
	f.FastPath = f.startFastPath
	pings := f.Protocol.Batches * f.Protocol.Count
	for i, mode := range f.modes {
		err := f.part(cmd, fmt.Sprintf("%s (%d of %d)", mode, i+1, len(f.modes)), pings, func() error {
			m, err := f.Mode(cmd.Context(), mode)
			r.Modes = append(r.Modes, m)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := f.extras(cmd, r, pings); err != nil {
		return nil, err
	}
	r.Ended = time.Now()
	return r, nil
}

// fast measures the fast path, with each number of rules.
func (f *benchFlags) fast(cmd *cobra.Command, r *bench.Result, pings int) error {
	rules := f.rules
	if len(rules) == 0 {
		rules = []int{0}
	}
	for _, mode := range f.modes {
		for _, n := range rules {
			if !f.fastPath {
				return nil
			}
			err := f.part(cmd, fmt.Sprintf("fast path in %s, %d rules", mode, n), 4*pings, func() error {
				s, err := f.FastStudies(cmd.Context(), mode, n)
				f.hastened = nil
				r.Fast = append(r.Fast, s...)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// extras measures the fast path, the rules and the tracing.
func (f *benchFlags) extras(cmd *cobra.Command, r *bench.Result, pings int) error {
	if err := f.fast(cmd, r, pings); err != nil {
		return err
	}
	for _, mode := range f.modes {
		if len(f.rules) == 0 {
			break
		}
		err := f.part(cmd, "rules in "+mode, pings*len(f.rules), func() error {
			s, err := f.Rules(cmd.Context(), mode, f.rules)
			r.Rules = append(r.Rules, s)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, mode := range f.modes {
		if !f.calibrate {
			break
		}
		err := f.part(cmd, "calibration in "+mode, pings*bench.CalibrationPasses, func() error {
			c, err := f.Calibrate(cmd.Context(), mode)
			r.Calibration = append(r.Calibration, c)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// part does one part of the study with a bar that shows how far it is.
func (f *benchFlags) part(cmd *cobra.Command, what string, pings int, do func() error) error {
	p := newProgress(cmd.ErrOrStderr(), what, pings)
	f.OnPing = p.step
	if !p.visible {
		fmt.Fprintf(cmd.ErrOrStderr(), "dwell: %s, %d pings\n", what, pings)
	}
	defer p.done()
	return do()
}

// show prints the tables and writes the report.
func (f *benchFlags) show(cmd *cobra.Command, r *bench.Result) error {
	var opts report.TextOptions
	if out, ok := cmd.OutOrStdout().(*os.File); ok {
		if width, _, err := term.GetSize(int(out.Fd())); err == nil {
			opts.Width = width
		}
	}
	err := report.Text(cmd.OutOrStdout(), r, opts)
	if f.out != "" {
		err = errors.Join(err, f.write(cmd, r))
	}
	if troubles := r.Troubles(); len(troubles) > 0 {
		err = errors.Join(err, fmt.Errorf("not every ping was measured: %s", strings.Join(troubles, "; ")))
	}
	return err
}

func (f *benchFlags) write(cmd *cobra.Command, r *bench.Result) error {
	files, err := report.Files(r)
	if err != nil {
		return err
	}
	if err := report.Write(cmd.Context(), f.out, files); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "dwell: report written: %s\n", filepath.Join(f.out, "report.html"))
	return nil
}

// commandLine is what was typed, but for the directory of the program.
func commandLine() string {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	return strings.Join(args, " ")
}

// recorder lets the agent record for the bench.
type recorder struct {
	*agent.Agent
	withoutNetfilter string
}

// Run implements [bench.Recorder].
func (r *recorder) Run(ctx context.Context) (bench.Recorded, error) {
	summary, err := r.Agent.Run(ctx)
	return bench.Recorded{
		Events: summary.Kernel.Total().Emitted, Lost: summary.Lost(), WithoutNetfilter: r.withoutNetfilter,
	}, err
}

func startRecording(s bench.Scope, fast ruletrace.Hastening, log *slog.Logger) (bench.Recorder, error) {
	r := &recorder{}
	options := agent.Options{
		Filter:           bpf.Filter{NetNS: s.NetNS},
		Hypervisors:      s.Hypervisors,
		Netfilter:        s.Netfilter,
		WithoutNetfilter: func(err error) { r.withoutNetfilter = err.Error() },
		OnRefused:        func(err error) { logRefused(log, err) },
		OnTrace:          s.OnTrace,
		// A reply that never reached the pinger is no longer expected here, so its trace
		// says that it never came rather than that recording ended.
		Timeout: pinger.DefaultTimeout / 2,
	}
	if fast != nil {
		options.FastPath = ruletrace.NewFastPath(fast)
	}
	a, err := agent.Start(options)
	if err != nil {
		return nil, err
	}
	r.Agent = a
	return r, nil
}
