// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestStalledDisk: while the disk takes nothing and says nothing, as in a freeze, who
// exports waits once and not for long, and who asks for the account not at all. What was
// counted meanwhile is written when the disk goes on.
func TestStalledDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, 0)
		release := spool.Stall(s)
		one := exporter.Count{Traces: 1, Spans: 10}
		begin := time.Now()
		for range 100 {
			s.Accept(one)
			s.Refuse("queue_full", one)
		}
		want := exporter.Count{Traces: 100, Spans: 1000}
		if got := s.Stats(); got.Queued != want || got.Lost["queue_full"] != want {
			t.Errorf("%+v", got)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("exporting took %v", took)
		}
		release()
		s.Lose("shutdown", want)
		if got := s.Stats(); got.Queued != (exporter.Count{}) {
			t.Errorf("%+v", got)
		}
		s.Close()
		s.Refuse("shutdown", one) // too late for the account on disk
		s = open(t, dir, 0)
		got := map[exporter.Cause]exporter.Count{"queue_full": want, "shutdown": want}
		if diff := cmp.Diff(got, s.Lifetime().Lost); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		s.Close()
	})
}
