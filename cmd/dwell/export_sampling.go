// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/sampling"
)

// samplingFlags say which of the traces are exported. What is printed and counted is of
// all of them.
type samplingFlags struct {
	ratio      float64
	keepSlower time.Duration
}

func (f *samplingFlags) register(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&f.ratio, "sample-ratio", 1,
		"export this `fraction` of the traces, from 0 to 1, chosen by trace ID, so that all hosts\n"+
			"choose the same; dropped, incomplete and unreachable pings are always exported")
	cmd.Flags().DurationVar(&f.keepSlower, "keep-slower-than", 0, "with --sample-ratio: also export every ping that took longer than this (0: off)")
}

// check says what is wrong with the flags.
func (f *samplingFlags) check() error {
	switch {
	case f.keepSlower < 0:
		return fmt.Errorf("--keep-slower-than %v: must not be negative", f.keepSlower)
	case f.keepSlower > 0 && f.ratio == 1:
		return fmt.Errorf("--keep-slower-than %v has no effect while all traces are exported: add --sample-ratio 0 to export only slow, dropped and incomplete pings", f.keepSlower)
	}
	if err := f.options().Validate(); err != nil {
		return fmt.Errorf("--sample-ratio %v: %w", f.ratio, err)
	}
	return nil
}

func (f *samplingFlags) options() sampling.Options {
	return sampling.Options{Ratio: f.ratio, KeepSlowerThan: f.keepSlower}
}

// sample puts the sampling in front of the exporters, if there is any.
func (f *samplingFlags) sample(all exporter.Multi, log *slog.Logger) (exporter.Multi, error) {
	if f.ratio == 1 || len(all) == 0 {
		return all, nil
	}
	s, err := sampling.New(f.options(), all)
	if err != nil {
		return nil, err
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
