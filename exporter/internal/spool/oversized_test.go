// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
)

// TestOversizedBatchCostsNoOther: what cannot fit even into an empty spool is lost alone,
// on its way through memory, too, and does not make the spool smaller for good.
func TestOversizedBatchCostsNoOther(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	add(t, s, batch(1, 30_000))
	huge := batch(2, 2<<20)
	add(t, s, huge)
	s.Accept(huge.Count)
	_ = s.Hold(huge) // may be refused
	s.Settle(huge.Count, exporter.Count{}, "")
	add(t, s, batch(3, 30_000))
	want := map[exporter.Cause]exporter.Count{exporter.CauseSpoolFull: huge.Count}
	if got := s.Stats(); cmp.Diff(want, got.Lost) != "" || got.SpoolBytes > 1<<20 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]int{1, 3}, drain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
