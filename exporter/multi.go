// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"context"
	"errors"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Multi hands every trace to each of its exporters. An error of one keeps no
// trace from the others.
type Multi []Exporter

var _ Exporter = Multi(nil)

// Export calls Export of each exporter in turn and joins their errors.
func (m Multi) Export(ctx context.Context, traces []*trace.Trace) error {
	var errs []error
	for _, e := range m {
		errs = append(errs, e.Export(ctx, traces))
	}
	return errors.Join(errs...)
}

// Shutdown shuts all exporters down at the same time, so that one that hangs does
// not use up the time of the others, and joins their errors in order.
func (m Multi) Shutdown(ctx context.Context) error {
	errs := make([]error, len(m))
	var wg sync.WaitGroup
	for i, e := range m {
		wg.Go(func() { errs[i] = e.Shutdown(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stats returns the sum over the exporters: a trace counts once for each.
func (m Multi) Stats() Stats {
	sum := Stats{Lost: map[Cause]Count{}}
	for _, e := range m {
		sum = sum.Plus(e.Stats())
	}
	return sum
}
