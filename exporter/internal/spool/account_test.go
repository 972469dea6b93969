// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// refusedIn returns the error of Open.
func refusedIn(dir string) error {
	s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err == nil {
		err = s.Close()
	}
	return err
}

// TestAccountIsWrittenTwice damages it: one copy is enough, and the one that was written
// later is right. Without any, everything that is on disk is sent once more, the batch that
// was last in flight and its record, too.
func TestAccountIsWrittenTwice(t *testing.T) {
	one, two := batch(1, 100), batch(2, 100)
	both := one.Count.Plus(two.Count)
	type outcome struct {
		sent, queued exporter.Count
		arrive       []int
	}
	known := outcome{one.Count, two.Count, []int{2}}
	stale := outcome{exporter.Count{}, both, []int{1, 2}}
	unknown := outcome{exporter.Count{}, both.Plus(one.Count), []int{1, 1, 2}}
	for name, tt := range map[string]struct {
		// damage is given the account of now and that of before one was sent.
		damage func(now, before []byte) []byte
		want   outcome
	}{
		"the first copy":          {func(now, _ []byte) []byte { now[100] ^= 1; return now }, known},
		"the second copy":         {func(now, _ []byte) []byte { now[2048+100] ^= 1; return now }, known},
		"the second is cut off":   {func(now, _ []byte) []byte { return now[:2048] }, known},
		"the first is older":      {func(now, before []byte) []byte { return append(before[:2048], now[2048:]...) }, known},
		"the second is older":     {func(now, before []byte) []byte { return append(now[:2048], before[2048:]...) }, known},
		"both are older":          {func(_, before []byte) []byte { return before }, stale},
		"both":                    {func(now, _ []byte) []byte { now[100] ^= 1; now[2048+100] ^= 1; return now }, unknown},
		"the length of both":      {func(now, _ []byte) []byte { now[15], now[2048+15] = 0xff, 0xff; return now }, unknown},
		"a length that is beyond": {func(now, _ []byte) []byte { now[100] ^= 1; le.PutUint32(now[2048+12:], 2048-20+1); return now }, unknown},
		"zeros, by loss of power": {func(_, _ []byte) []byte { return make([]byte, 4096) }, unknown},
		"nothing in it":           {func(_, _ []byte) []byte { return nil }, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			add(t, s, one)
			add(t, s, two)
			before := read(t, dir, "account")
			s.Settle(s.Take().Count, exporter.Count{}, "")
			s.Close()
			files := snap(t, dir)
			files["account"] = tt.damage(files["account"], before)
			files.restore(t, dir)
			s = open(t, dir, 0)
			got := s.Lifetime()
			if got.Sent != tt.want.sent || got.Queued != tt.want.queued || got.Spooled != got.Queued || len(got.Lost) != 0 {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if diff := cmp.Diff(tt.want.arrive, drain(s)); diff != "" {
				t.Errorf("arrived (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBatchInFlightWithoutAnAccount: it is sent again, because it may not
// have arrived.
func TestBatchInFlightWithoutAnAccount(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	held := batch(1, 100)
	s.Accept(held.Count)
	if err := s.Hold(held); err != nil {
		t.Fatal(err)
	}
	s.Close()
	files := snap(t, dir)
	delete(files, "account")
	files.restore(t, dir)
	s = open(t, dir, 0)
	if got := s.Left(); got.Count != held.Count || s.Lifetime().Queued != held.Count {
		t.Errorf("%v is in flight: %+v", got.Count, s.Lifetime())
	}
}

// TestManyCauses: the account has room for some causes, and for all that they count. What
// comes after them goes under one name, and survives as well.
func TestManyCauses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	one := exporter.Count{Traces: 1, Spans: 10}
	want := map[exporter.Cause]exporter.Count{}
	for n := range 60 {
		cause := exporter.Cause(fmt.Sprintf("cause_%018d", n)) // as long as may be
		s.Refuse(cause, one)
		if n < 39 {
			want[cause] = one
			continue
		}
		want["other"] = want["other"].Plus(one)
	}
	s.Refuse("cause_000000000000000003", one) // there is room for who was there first
	want["cause_000000000000000003"] = want["cause_000000000000000003"].Plus(one)
	if diff := cmp.Diff(want, s.Stats().Lost); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Close()
	s = open(t, dir, 0)
	if diff := cmp.Diff(want, s.Lifetime().Lost); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
	if got := s.Stats(); len(got.Lost) != 0 || got.Recovered != (exporter.Count{}) {
		t.Errorf("of before the start: %+v", got)
	}
}

// TestLongCause: a name that is too long for the account is the same before and after.
func TestLongCause(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	one := exporter.Count{Traces: 1, Spans: 10}
	s.Refuse(exporter.Cause(strings.Repeat("x", 30)), one)
	s.Refuse(exporter.Cause(strings.Repeat("x", 300)), one)
	want := map[exporter.Cause]exporter.Count{exporter.Cause(strings.Repeat("x", 24)): one.Plus(one)}
	s.Close()
	s = open(t, dir, 0)
	if diff := cmp.Diff(want, s.Lifetime().Lost); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNothingIsNoCause: to lose nothing leaves no trace of its cause.
func TestNothingIsNoCause(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	s.Refuse("nothing", exporter.Count{})
	s.Lose("nothing", exporter.Count{})
	if got := s.Lifetime(); len(got.Lost) != 0 {
		t.Errorf("%+v", got)
	}
}
