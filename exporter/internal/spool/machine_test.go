// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// limit of the spools here, the smallest there is. Segments begin anew at a sixteenth, and
// a batch of more than a quarter cannot be held.
const limit = 1 << 20

// TestModel does to a spool whatever an exporter may, ends the process at any moment, and
// holds everything against the model: what was put is sent, or lost and counted, or
// waits, as it was written and in order.
func TestModel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	rapid.Check(t, func(t *rapid.T) { newMachine(t, dir, false).run(t) })
}

// TestModelOnAFullDisk is TestModel on a disk that is smaller than the spool may get.
func TestModelOnAFullDisk(t *testing.T) {
	dir := filepath.Join(disktest.Small(t, "300k"), "spool")
	rapid.Check(t, func(t *rapid.T) { newMachine(t, dir, true).run(t) })
}

// machine is a spool and what must be in it.
type machine struct {
	dir string
	// small is that the disk may refuse anything.
	small bool
	s     *spool.Spool
	m     model
	kill  killer
	last  int
	// opened is what the spool said when it was opened.
	opened struct{ accepted, sent, waiting exporter.Count }
}

func newMachine(t *rapid.T, dir string, small bool) *machine {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c := &machine{dir: dir, small: small, m: newModel()}
	c.open(t, c.m)
	return c
}

func (c *machine) run(t *rapid.T) {
	defer func() { _ = c.s.Close() }() // its error is not what is tested
	t.Repeat(map[string]func(*rapid.T){
		"accept": c.accept, "refuse": c.refuse, "lose": c.lose, "flood": c.flood,
		"append": c.append, "append more": c.append, "hold": c.hold, "take": c.take,
		"settle": c.settle, "postpone": c.postpone, "take some": c.takeSome, "postpone the rest": c.postponeRest,
		"restart": c.restart, "kill": c.killDuring, "": c.check,
	})
	c.drain(t)
}

// open opens the spool, which must be one of those.
func (c *machine) open(t *rapid.T, candidates ...model) {
	s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: c.dir, MaxBytes: limit}})
	if err != nil {
		t.Fatal(err)
	}
	left, waiting := s.Left(), s.Stats().Recovered
	for _, m := range candidates {
		if (m.flight == nil) == (left.Payload == nil) && (m.flight == nil || m.flight.equal(left)) && m.diff(s) == "" {
			c.s, c.m = s, m
			c.opened.accepted, c.opened.sent, c.opened.waiting = m.accepted, m.sent, waiting
			c.kill.watch(t, s, c.dir)
			return
		}
	}
	for _, m := range candidates {
		t.Logf("not as %+v:\n%s", m, m.diff(s))
	}
	s.Close()
	t.Fatalf("was opened with %v in flight: %+v", left.Count, s.Lifetime())
}

// check holds the spool against the model.
func (c *machine) check(t *rapid.T) {
	if diff := c.m.diff(c.s); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	got := c.s.Stats()
	used, segments := usage(t, c.dir)
	in := c.opened.waiting.Plus(c.m.accepted.Minus(c.opened.accepted))
	if balance(got) != in || got.Sent != c.m.sent.Minus(c.opened.sent) {
		t.Fatalf("%v came in since the start: %+v", in, got)
	}
	if got.SpoolBytes != used {
		t.Fatalf("%d bytes are reported, there are %d", got.SpoolBytes, used)
	}
	if got.SpoolBytes > limit+limit/4 { // a quarter for the batch in flight
		t.Fatalf("%d bytes are more than the limit", got.SpoolBytes)
	}
	if c.m.flight != nil && c.m.place == pinned {
		return
	}
	if empty := len(c.m.queue) == 0; c.s.Empty() != empty || empty != (segments == 0) {
		t.Fatalf("Empty is %v of %d batches in %d segments", c.s.Empty(), len(c.m.queue), segments)
	}
}

func (c *machine) accept(t *rapid.T) {
	c.put(rapid.OneOf(rapid.IntRange(16, 40_000), rapid.IntRange(16, 300_000)).Draw(t, "size"))
}

// flood writes as much as reaches the limit, mostly.
func (c *machine) flood(t *rapid.T) {
	for range 8 {
		c.put(rapid.IntRange(50_000, 200_000).Draw(t, "size"))
		c.append(t)
	}
}

func (c *machine) put(size int) {
	c.last++
	i := item{number: c.last, size: size}
	c.s.Accept(i.count())
	c.written()
	c.m.accepted = c.m.accepted.Plus(i.count())
	c.m.pending = append(slices.Clip(c.m.pending), i)
}

// written returns when the account is on disk, which Accept and Refuse do not wait for
// where the machine is too slow.
func (c *machine) written() { c.s.Lose("", exporter.Count{}) }

func (c *machine) refuse(*rapid.T) {
	c.last++
	n := item{number: c.last}.count()
	c.s.Refuse(exporter.CauseQueueFull, n)
	c.written()
	c.m.accepted = c.m.accepted.Plus(n)
	c.m.lose(exporter.CauseQueueFull, n)
}

func (c *machine) lose(t *rapid.T) {
	i := c.pop(t)
	c.s.Lose(exporter.CauseShutdown, i.count())
	c.m.lose(exporter.CauseShutdown, i.count())
}

// pop takes the first batch that waits in memory.
func (c *machine) pop(t *rapid.T) item {
	if len(c.m.pending) == 0 {
		t.Skip()
	}
	i := c.m.pending[0]
	c.m.pending = c.m.pending[1:]
	return i
}

func (c *machine) append(t *rapid.T) {
	before, size := c.m.pending, c.s.Stats().SpoolBytes
	i := c.pop(t)
	err := c.s.Append(i.batch())
	c.mayFail(t, err)
	dropped, itself := c.dropped(t, i, size)
	c.m.drop(dropped)
	switch {
	case err != nil:
		c.m.pending = before
	case itself:
		c.m.lose(exporter.CauseSpoolFull, i.count())
	default:
		c.wrote(t, i)
	}
}

// wrote is that a batch is behind all others, within the limit.
func (c *machine) wrote(t *rapid.T, i item) {
	c.m.queue = append(slices.Clip(c.m.queue), i)
	if size := c.s.Stats().SpoolBytes; size > limit {
		t.Fatalf("%d bytes are more than the limit", size)
	}
}

// mayFail ends the test if the spool refuses something without a reason.
func (c *machine) mayFail(t *rapid.T, err error) {
	if err == nil {
		return
	}
	stuck := c.m.flight != nil && c.m.place == pinned
	if !errors.Is(err, spool.ErrDisk) || !c.small && !stuck {
		t.Fatal(err)
	}
}

// dropped returns how many batches were lost to the limit for the sake of one, and
// whether that was lost itself. It must have been necessary.
func (c *machine) dropped(t *rapid.T, for_ item, size int64) (n int, itself bool) {
	lost := c.s.Lifetime().Lost[exporter.CauseSpoolFull].Minus(c.m.lost[exporter.CauseSpoolFull])
	if lost == (exporter.Count{}) {
		return 0, false
	}
	if need := int64(16 + 48 + for_.size); size+need <= limit {
		t.Fatalf("%v was dropped for %d bytes though there were only %d", lost, need, size)
	}
	for n := range len(c.m.queue) + 1 {
		switch oldest := countOf(c.m.queue[:n]...); lost {
		case oldest:
			return n, false
		case oldest.Plus(for_.count()):
			return n, true
		}
	}
	t.Fatalf("%v was dropped, which is not the oldest of %v", lost, c.m.queue)
	return 0, false
}

func (c *machine) hold(t *rapid.T) {
	if c.m.flight != nil {
		t.Skip()
	}
	i := c.pop(t)
	err := c.s.Hold(i.batch())
	fits := 48+i.size <= limit/4
	if !fits && err == nil || fits && err != nil && !c.small || err != nil && !errors.Is(err, spool.ErrDisk) {
		t.Fatalf("%d bytes: %v", i.size, err)
	}
	c.m.flight, c.m.place, c.m.older = &i, held, len(c.m.queue)
	if err != nil {
		c.m.place = memory
	}
}

func (c *machine) take(t *rapid.T) { c.takeUpTo(t, 1) }

// takeSome takes several at a time, if there are, and they fit.
func (c *machine) takeSome(t *rapid.T) { c.takeUpTo(t, rapid.IntRange(2, 5).Draw(t, "at once")) }

func (c *machine) takeUpTo(t *rapid.T, most int) {
	if c.m.flight != nil {
		t.Skip()
	}
	got := c.s.TakeSome(most)
	if n := len(got); n > most || n > len(c.m.queue) || n == 0 && len(c.m.queue) > 0 {
		t.Fatalf("%d batches were taken of %d, and %d were asked for", n, len(c.m.queue), most)
	}
	if len(got) == 0 {
		return
	}
	for k, b := range got {
		if i := c.m.queue[k]; !i.equal(b) {
			t.Fatalf("took %v of %d bytes, want batch %d", b.Count, len(b.Payload), i.number)
		}
	}
	c.m.records = slices.Clone(c.m.queue[:len(got)])
	i := join(c.m.records)
	c.m.queue, c.m.flight, c.m.place, c.m.older = c.m.queue[len(got):], &i, held, 0
	if fits := 48+i.size <= limit/4; c.small || !fits {
		c.m.place = pinned
		if !fits && len(got) > 1 {
			t.Fatalf("%d batches of %d bytes are too much for the slot", len(got), i.size)
		}
	}
}

// postponeRest settles one of several batches in flight, and puts the others behind all.
func (c *machine) postponeRest(t *rapid.T) {
	if c.m.flight == nil || c.m.flight.parts == nil {
		t.Skip()
	}
	done, rest, size := c.m.flight.parts[0], join(c.m.flight.parts[1:]), c.s.Stats().SpoolBytes
	lost := exporter.Count{Traces: rapid.Int64Range(0, done.count().Traces).Draw(t, "lost")}
	err := c.s.PostponeRest(done.count(), map[exporter.Cause]exporter.Count{"refused": lost}, rest.batch())
	c.mayFail(t, err)
	dropped, itself := c.dropped(t, rest, size)
	c.m.drop(dropped)
	if err != nil {
		return
	}
	c.m.sent = c.m.sent.Plus(done.count().Minus(lost))
	c.m.lose("refused", lost)
	c.m.flight = nil
	if itself {
		c.m.lose(exporter.CauseSpoolFull, rest.count())
		return
	}
	c.wrote(t, rest)
}

func (c *machine) settle(t *rapid.T) {
	if c.m.flight == nil {
		t.Skip()
	}
	all, lost := c.m.flight.count(), exporter.Count{}
	if rapid.Bool().Draw(t, "in part") {
		lost = exporter.Count{Traces: rapid.Int64Range(0, all.Traces).Draw(t, "traces"), Spans: rapid.Int64Range(0, all.Spans).Draw(t, "spans")}
	}
	c.s.Settle(all, lost, "refused")
	c.m.sent = c.m.sent.Plus(all.Minus(lost))
	c.m.lose("refused", lost)
	c.m.flight = nil
}

func (c *machine) postpone(t *rapid.T) {
	if c.m.flight == nil {
		t.Skip()
	}
	i, size := *c.m.flight, c.s.Stats().SpoolBytes
	err := c.s.Postpone(i.batch())
	c.mayFail(t, err)
	dropped, itself := c.dropped(t, i, size)
	if dropped > 0 && c.m.older == 0 {
		t.Fatalf("%d batches were dropped for one that is older", dropped)
	}
	c.m.drop(dropped)
	if itself && c.m.older > 0 {
		t.Fatalf("it was dropped and %d that are older were not", c.m.older)
	}
	switch {
	case err != nil:
	case itself:
		c.m.lose(exporter.CauseSpoolFull, i.count())
		c.m.flight = nil
	default:
		c.m.flight = nil
		c.wrote(t, i)
	}
}

// restart ends the process in between, with or without closing the spool.
func (c *machine) restart(t *rapid.T) {
	files := snap(t, c.dir)
	c.s.Close()
	if rapid.Bool().Draw(t, "killed") {
		files.restore(t, c.dir)
	}
	c.open(t, c.m.killed()...)
}

// killDuring ends the process while it does something, of which either all was done,
// nothing, or the oldest were dropped.
func (c *machine) killDuring(t *rapid.T) {
	before, files := c.m.clone(), snap(t, c.dir)
	moment := rapid.IntRange(0, 5).Draw(t, "moment")
	c.kill.arm(moment)
	actions := []func(*rapid.T){c.accept, c.append, c.hold, c.take, c.takeSome, c.settle, c.postpone}
	actions[rapid.IntRange(0, len(actions)-1).Draw(t, "action")](t)
	taken := c.kill.disarm()
	if taken == nil { // was done before the moment came
		return
	}
	c.s.Close()
	if moment%2 == 0 { // before a write of the account, which comes after the others
		taken.tear(t, files)
	}
	taken.restore(t, c.dir)
	candidates := c.m.killed()
	for n := range len(before.queue) + 1 {
		half := before.clone()
		half.drop(n)
		candidates = append(candidates, half.killed()...)
	}
	c.open(t, candidates...)
}

// drain sends everything: nothing stays behind.
func (c *machine) drain(t *rapid.T) {
	for len(c.m.pending) > 0 {
		c.lose(t)
	}
	for c.m.flight != nil || len(c.m.queue) > 0 {
		if c.m.flight == nil {
			c.take(t)
		}
		all := c.m.flight.count()
		c.s.Settle(all, exporter.Count{}, "")
		c.m.sent, c.m.flight = c.m.sent.Plus(all), nil
		c.check(t)
	}
	if got := c.s.Lifetime(); got.Queued != (exporter.Count{}) || balance(got) != c.m.accepted {
		t.Fatalf("%v came in: %+v", c.m.accepted, got)
	}
}
