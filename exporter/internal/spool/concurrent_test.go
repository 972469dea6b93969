// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestConcurrently: who exports, who sends, who writes to disk and who asks do so at the
// same time, and every look at the account finds it whole.
func TestConcurrently(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, limit)
	one := exporter.Count{Traces: 1, Spans: 10}
	const rounds = 200
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for range rounds {
				s.Accept(one)
				s.Refuse(exporter.CauseQueueFull, one)
				if got := s.Stats(); got.Queued.Traces < 0 || got.Spooled.Traces > got.Queued.Traces || got.Queued.Spans != 10*got.Queued.Traces {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	work.Go(func() {
		for range rounds {
			b := spool.Batch{Payload: make([]byte, 30_000), Count: one}
			s.Accept(one)
			if err := s.Append(b); err != nil {
				t.Error(err)
			}
		}
	})
	work.Go(func() {
		for range rounds {
			if b := s.Take(); b.Payload != nil {
				s.Settle(b.Count, exporter.Count{}, "")
			}
		}
	})
	work.Wait()
	waiting := exporter.Count{Traces: 3 * rounds, Spans: 30 * rounds} // in memory
	s.Lose(exporter.CauseShutdown, waiting)
	for b := s.Take(); b.Payload != nil; b = s.Take() {
		s.Settle(b.Count, exporter.Count{}, "")
	}
	got := s.Lifetime()
	s.Close()
	if in := (exporter.Count{Traces: 7 * rounds, Spans: 70 * rounds}); balance(got) != in || got.Queued != (exporter.Count{}) || got.Lost[exporter.CauseQueueFull] != waiting {
		t.Errorf("%v came in: %+v", in, got)
	}
	if again := open(t, dir, limit).Lifetime(); again.Sent != got.Sent || balance(again) != balance(got) {
		t.Errorf("%+v, opened again %+v", got, again)
	}
}

// TestWhoSendsWaitsForTheDisk: a batch is not on its way before it is in the account,
// however long the disk stalls.
func TestWhoSendsWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 0)
		release := spool.Stall(s)
		done := false
		go func() {
			_ = s.Hold(batch(1, 100)) // is checked by Stats
			done = true
		}()
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		if done {
			t.Error("held before the account was written")
		}
		release()
		synctest.Wait()
		if !done || s.Stats().Spooled != batch(1, 8).Count {
			t.Errorf("held: %v; %+v", done, s.Stats())
		}
		s.Close()
	})
}

// TestEachStallTakesOneWait: once a disk has recovered, its next stall is given time again.
func TestEachStallTakesOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 0)
		stall := spool.Stalls(s)
		one := exporter.Count{Traces: 1, Spans: 10}
		for n := range 3 {
			synctest.Wait() // until nothing is being written
			release, begin := stall(), time.Now()
			s.Accept(one)
			s.Accept(one)
			if took := time.Since(begin); took != time.Second {
				t.Errorf("stall %d: waited %v", n, took)
			}
			release()
			s.Lose("test", one) // waits until all is written
		}
		s.Close()
	})
}

// TestCloseWritesWhatIsLeft: a change that no caller waits for is in the account of the
// next process.
func TestCloseWritesWhatIsLeft(t *testing.T) {
	one := exporter.Count{Traces: 1, Spans: 10}
	for range 20 { // Close and the next write race
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			release, moments := make(chan struct{}), 0
			spool.OnAccount(s, func() {
				if moments++; moments == 2 { // the first write is done and takes no more
					<-release
				}
			})
			for range 3 {
				s.Refuse("test", one) // only the first waits, for a second
			}
			close(release)
			s.Close()
			s = open(t, dir, 0)
			if got := s.Lifetime().Lost["test"]; got.Traces != 3 {
				t.Errorf("%v are known", got)
			}
			s.Close()
		})
	}
}

// TestManyChangesOneWrite: what comes while the account is being written goes with one
// write after it.
func TestManyChangesOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 0)
		release, writes := spool.Stall(s), 0
		spool.OnAccount(s, func() { writes++ })
		one := exporter.Count{Traces: 1, Spans: 10}
		var work sync.WaitGroup
		for range 100 {
			work.Go(func() { s.Lose("test", one) })
		}
		synctest.Wait() // all wait for the disk
		release()
		work.Wait()
		if writes > 2*2 { // before and after each
			t.Errorf("100 changes took %d writes", writes/2)
		}
		if got := s.Stats().Lost["test"]; got.Traces != 100 {
			t.Errorf("%v are counted", got)
		}
		s.Close()
	})
}
