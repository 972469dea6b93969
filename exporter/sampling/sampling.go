// SPDX-License-Identifier: Apache-2.0

// Package sampling leaves out traces in front of an exporter: a share of them by trace
// ID, as every host decides it, but none that is slow, dropped or incomplete.
package sampling

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// Options say which traces are kept.
type Options struct {
	// Ratio is the share of all traces to keep, from 0 to 1; 1 keeps all, 0 only those
	// that are always kept.
	Ratio float64
	// KeepSlowerThan keeps every ping whose root span lasted longer; 0 is no such rule.
	KeepSlowerThan time.Duration
}

// Exporter leaves out traces in front of another exporter.
type Exporter struct {
	exporter.Exporter
}

var _ exporter.Exporter = (*Exporter)(nil)

// New makes an exporter that hands on to next what is to be kept. The error says
// which option to change.
func New(o Options, next exporter.Exporter) (*Exporter, error) { return &Exporter{next}, nil }

// Set changes the options for the traces that come from now on.
func (e *Exporter) Set(o Options) error { return nil }

// Keeps reports whether Export will hand the trace on. It is a pure function of the
// trace and the options.
func (e *Exporter) Keeps(t *trace.Trace) bool { return true }

// SampledOut returns what was left out so far. It is in no count of Stats.
func (e *Exporter) SampledOut() exporter.Count { return exporter.Count{} }
