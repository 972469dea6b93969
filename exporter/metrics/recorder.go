// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Recorder counts pings. Its methods may be called concurrently.
type Recorder struct {
	options Options
	mu      sync.Mutex
}

var _ prometheus.Collector = (*Recorder)(nil)

// New makes a Recorder. The error is that of [Options.Validate].
func New(o Options) (*Recorder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Recorder{options: o.withDefaults()}, nil
}

// Record counts one ping and the spans of its trace. It is to be called for every
// trace, whatever becomes of it: with kept set if the trace is going to be exported,
// so that exemplars lead only to traces that can be looked at. The trace is not kept.
func (r *Recorder) Record(t *trace.Trace, kept bool) {}

// Describe implements [prometheus.Collector].
func (r *Recorder) Describe(ch chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (r *Recorder) Collect(ch chan<- prometheus.Metric) {}
