// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate/event"
)

// kernelTypes are read once for all tests: in an emulated machine that takes as long as a test.
var kernelTypes = btf.NewCache()

// recorder is an attached Tracer and the events of a test's namespaces.
type recorder struct {
	t       testing.TB
	tracer  *Tracer
	reasons *DropReasons
	names   map[uint32]*namespace
	events  []event.Event
}

// record attaches to the kernel and keeps the events of the namespaces.
func record(t testing.TB, opts Options, in ...*namespace) *recorder {
	t.Helper()
	if opts.Types == nil {
		opts.Types = kernelTypes
	}
	tracer, err := Load(opts)
	if err != nil {
		t.Fatal(err)
	}
	return recordWith(t, tracer, in...)
}

// recordWith is record with a Tracer that is loaded, and closes that.
func recordWith(t testing.TB, tracer *Tracer, in ...*namespace) *recorder {
	t.Helper()
	r := &recorder{t: t, tracer: tracer, names: map[uint32]*namespace{}}
	for _, n := range in {
		r.names[n.inode] = n
	}
	t.Cleanup(func() {
		if err := r.tracer.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if r.reasons, err = LoadDropReasons(kernelTypes); err != nil {
		t.Fatal(err)
	}
	if err := r.tracer.Attach(); err != nil {
		t.Fatal(err)
	}
	return r
}

// watch returns a function that waits until one more ping from the namespace is over, and
// the tracers that are attached already have judged all of it: a CPU calls them first. That
// its reply has come is not enough, see byTime.
func watch(t testing.TB, from *namespace) (over func()) {
	t.Helper()
	w, pings := record(t, Options{RingBytes: 1 << 20}, from), 0
	return func() {
		t.Helper()
		pings++
		w.until(delivered(pings))
	}
}

// patience is how long a test waits for what is going to come: a machine may have other work.
const patience = time.Minute

// until drains until the events satisfy done, and returns them by time.
func (r *recorder) until(done func([]event.Event) bool) []event.Event {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		r.drain()
		if done(r.events) {
			break
		}
		if err := r.tracer.Wait(ctx, time.Millisecond); err != nil {
			stats, _ := r.tracer.Stats()
			r.t.Fatalf("waiting for events: %v; %+v; have\n%s", err, stats.Total(), r.list(r.events))
		}
	}
	r.events = slices.DeleteFunc(r.events, r.answeredButDropped)
	slices.SortStableFunc(r.events, byTime)
	return r.events
}

// answeredButDropped: Linux 6.1 frees an ICMPv6 echo request as dropped after it
// has answered it, without a reason. No test here drops one otherwise.
func (r *recorder) answeredButDropped(e event.Event) bool {
	return e.Hook == event.KfreeSKB && e.Type == event.EchoRequest && e.Flags.Has(event.IPv6) &&
		r.reasons.Name(e.Code) == "NOT_SPECIFIED"
}

// byTime puts delivery after all else: a process on another CPU may take the
// clone of a reply before this CPU has freed the original.
func byTime(a, b event.Event) int {
	da, db := a.Hook == event.SKBCopyDatagramIovec, b.Hook == event.SKBCopyDatagramIovec
	switch {
	case da != db && da:
		return 1
	case da != db:
		return -1
	}
	return cmp.Compare(a.Time, b.Time)
}

// sound checks that nothing was lost or left over on the way to the test.
func (r *recorder) sound() {
	r.t.Helper()
	s, err := r.tracer.Stats()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := s.Total()
	if sum.Emitted == 0 || sum.Lost+sum.XmitMismatch+sum.XmitOverflow+s.Malformed > 0 {
		r.t.Errorf("stats: %+v", s)
	}
}

func (r *recorder) drain() {
	r.t.Helper()
	_, err := r.tracer.Drain(func(e *event.Event) {
		if r.names[e.NetNS] != nil {
			r.events = append(r.events, *e)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// list writes an event a line: namespace, interface, hook, type.
func (r *recorder) list(events []event.Event) string {
	var s string
	for i := range events {
		s += r.line(&events[i]) + "\n"
	}
	return s
}

func (r *recorder) line(e *event.Event) string {
	n := r.names[e.NetNS]
	return fmt.Sprintf("%s %s %s %s", n.name, n.device(e.IfIndex), e.Hook, e.Type)
}

// seen is a condition for until: the hook has been seen n times.
func seen(hook event.Hook, n int) func([]event.Event) bool {
	return func(events []event.Event) bool {
		return n <= count(events, func(e *event.Event) bool { return e.Hook == hook })
	}
}

// delivered is a condition for until: n replies have been taken by raw sockets,
// and their originals freed.
func delivered(n int) func([]event.Event) bool {
	return func(events []event.Event) bool {
		freed := count(events, func(e *event.Event) bool { return e.Hook == event.KfreeSKB && e.Type == event.EchoReply })
		return seen(event.SKBCopyDatagramIovec, n)(events) && freed >= n
	}
}

func count(events []event.Event, f func(*event.Event) bool) (n int) {
	for i := range events {
		if f(&events[i]) {
			n++
		}
	}
	return n
}
