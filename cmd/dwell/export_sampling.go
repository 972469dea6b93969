// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/sampling"
)

// samplingFlags say which pings are traced, or which of the traces are exported. What is printed
// and counted is of all that are traced.
type samplingFlags struct {
	ratio      float64
	keepSlower time.Duration
	// inKernel is set if pings can be left out before they are traced.
	inKernel bool
}

func (f *samplingFlags) register(cmd *cobra.Command) {
	ratio := "export this `fraction` of the traces, from 0 to 1, chosen by trace ID, so that all hosts\n" +
		"choose the same; dropped, incomplete and unreachable pings are always exported"
	keep := "with --sample-ratio: also export every ping that took longer than this (0: off)"
	if f.inKernel {
		ratio = "trace only this `fraction` of the pings, from 0 to 1, chosen in the kernel by trace ID, so that\n" +
			"all hosts choose the same; the others cost next to nothing, and are not even printed"
		keep = "with --sample-ratio: trace all pings, and export besides that fraction each one that took\n" +
			"longer than this or was dropped, incomplete or unreachable (0: off)"
	}
	cmd.Flags().Float64Var(&f.ratio, "sample-ratio", 1, ratio)
	cmd.Flags().DurationVar(&f.keepSlower, "keep-slower-than", 0, keep)
}

// check says what is wrong with the flags.
func (f *samplingFlags) check() error {
	switch {
	case f.keepSlower < 0:
		return fmt.Errorf("--keep-slower-than %v: must not be negative", f.keepSlower)
	case f.keepSlower > 0 && f.ratio == 1:
		return fmt.Errorf("--keep-slower-than %v has no effect while all traces are exported: add --sample-ratio 0 to export only slow, dropped and incomplete pings", f.keepSlower)
	case f.inKernel && f.ratio == 0 && f.keepSlower == 0:
		return errors.New("--sample-ratio 0 traces nothing: add --keep-slower-than to export slow, dropped and incomplete pings, or choose a ratio above 0")
	}
	if err := f.options().Validate(); err != nil {
		return fmt.Errorf("--sample-ratio %v: %w", f.ratio, err)
	}
	return nil
}

// options are those of the exporter. Where all is exported, only what was chosen before is marked.
func (f *samplingFlags) options() sampling.Options {
	return sampling.Options{Ratio: f.ratio, KeepSlowerThan: f.keepSlower, Terse: f.ratio == 1}
}

// threshold returns which pings the kernel side leaves out, see agent.Options.
func (f *samplingFlags) threshold() (uint64, error) {
	if f.keepSlower > 0 {
		return 0, nil
	}
	return f.options().Threshold()
}

// sample puts the sampling in front of the exporters, if there are any.
func (f *samplingFlags) sample(all exporter.Multi, log *slog.Logger) (exporter.Multi, error) {
	if len(all) == 0 {
		return all, nil
	}
	s, err := sampling.New(f.options(), all)
	if err != nil {
		return nil, err
	}
	if f.ratio == 1 || f.inKernel && f.keepSlower == 0 { // the summary says what is left out
		return exporter.Multi{s}, nil
	}
	return exporter.Multi{&tellingSampler{s, log}}, nil
}

// tellingSampler says in the end how much was left out.
type tellingSampler struct {
	*sampling.Exporter
	log *slog.Logger
}

// Shutdown implements [exporter.Exporter].
func (s *tellingSampler) Shutdown(ctx context.Context) error {
	err := s.Exporter.Shutdown(ctx)
	s.log.Info("not exported because of --sample-ratio: " + s.SampledOut().String())
	return err
}
