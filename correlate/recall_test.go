// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// rename gives another name to a device, or to a namespace, that was asked for, and another type
// of device and role of a namespace, which decide what the trace is.
func (c *cached) rename(d *draw) {
	inodes, places := keys(c.netNSs), keys(c.devices)
	if len(inodes) == 0 || len(places) == 0 {
		return // nothing has come of the pings
	}
	if d.IntN(2) == 0 {
		inode := inodes[d.IntN(len(inodes))]
		ns := *c.netNSs[inode]
		ns.Name, ns.Hypervisor = ns.Name+"'", !ns.Hypervisor
		c.netNSs[inode] = &ns
		return
	}
	types := []string{"", "veth", "tun", "vxlan", "wireguard"}
	at := places[d.IntN(len(places))]
	dev := *c.devices[at]
	dev.Name, dev.Type = dev.Name+"'", types[d.IntN(len(types))]
	c.devices[at] = &dev
}

// keys returns the keys of a map in an order that is always the same.
func keys[K comparable, V any](m map[K]V) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// recalling is a correlator that remembers and one that does not, which are given the same.
type recalling struct {
	both   [2]*correlate.Correlator
	traces [2][]*trace.Trace
}

func newRecalling(o correlate.Options) *recalling {
	r := &recalling{}
	o.Wall, o.Rules, o.FastPath, o.HostID = simWall, rules{}, fastReasons{}, "host"
	for i := range r.both {
		o.Emit = func(t *trace.Trace) { r.traces[i] = append(r.traces[i], t) }
		r.both[i] = correlate.New(o)
	}
	r.both[1].MakeEach()
	return r
}

// add adds the events of pings, which are then over.
func (r *recalling) add(events []event.Event) {
	for _, c := range r.both {
		end := uint64(0)
		for i := range events {
			c.Add(&events[i])
			end = max(end, events[i].Time)
		}
		c.Advance(end + uint64(10*time.Second))
	}
}

// differ returns in what the traces of one differ from those of the other, or "".
func (r *recalling) differ() string {
	if reflect.DeepEqual(r.traces[1], r.traces[0]) {
		return ""
	}
	return gocmp.Diff(r.traces[1], r.traces[0], cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty())
}

// again returns the events of the same pings, n minutes later: with other times, in the same order,
// with other sequence numbers and contents, in other buffers and on other CPUs.
func again(events []event.Event, n uint64, pause func() uint64) []event.Event {
	events = slices.Clone(events)
	now := events[0].Time + n*uint64(time.Minute)
	before := events[0].Time
	for i := range events {
		ev := &events[i]
		switch {
		case ev.Time > before:
			now += pause()
		case ev.Time < before:
			now -= before - ev.Time
		}
		before, ev.Time = ev.Time, now
		ev.Seq += uint16(n)
		ev.CPU ^= uint16(n % 2)
		ev.Payload[8] += byte(n)
		if ev.SKB != 0 {
			ev.SKB += n << 40
		}
	}
	return events
}

// Each complete ping of one flow is recalled from the third on, on any road, and says what it would say by
// itself.
func TestSameRoadIsRecalled(t *testing.T) {
	recalled := 0
	for _, g := range slices.Concat(golden, roads, copies, guests) {
		s := newSim()
		g.what(s)
		r := newRecalling(correlate.Options{Resolver: newCached()})
		for n := range uint64(4) {
			r.add(again(s.events, n, func() uint64 { return 70 + n }))
		}
		if diff := r.differ(); diff != "" {
			t.Errorf("%s (-by itself +recalled):\n%s", g.name, diff)
		}
		want := uint64(0)
		if ordinary(s.events, r.traces[1]) {
			want = 2
			recalled++
		}
		if got := r.both[0].Recalled(); got < want {
			t.Errorf("%s: %d of 4 pings recalled, want %d", g.name, got, want)
		}
	}
	if recalled < 20 {
		t.Errorf("only %d roads are such that a ping is recalled", recalled)
	}
}

// Pings of many programs at a time are recalled, too.
func TestManyFlowsAreRecalled(t *testing.T) {
	const flows, rounds = 100, 6
	r := newRecalling(correlate.Options{Resolver: newCached()})
	for n := range uint64(rounds) {
		for flow := range uint16(flows) {
			s := newSim()
			golden[0].what(s)
			events := again(s.events, n*flows+uint64(flow), func() uint64 { return 100 })
			for i := range events {
				events[i].ID += flow
			}
			r.add(events)
		}
	}
	if diff := r.differ(); diff != "" {
		t.Errorf("-by itself +recalled:\n%s", diff)
	}
	// More than four flows in one set make each other forgotten.
	if got := r.both[0].Recalled(); got < flows*(rounds-2)*9/10 {
		t.Errorf("%d of %d pings of %d flows recalled", got, flows*rounds, flows)
	}
}

// ordinary reports whether events are of one ping, and in order, to which nothing was done, and the
// traces all complete.
func ordinary(events []event.Event, traces []*trace.Trace) bool {
	for i := range events {
		if ev := &events[i]; ev.Hook.Acts() || i > 0 && ev.Time <= events[i-1].Time {
			return false
		}
	}
	for _, t := range traces {
		if t.Outcome != trace.Complete {
			return false
		}
	}
	return len(traces) == 4 && len(events) <= 64
}

// Pings that are nearly alike, while names change and events are lost, have the traces that they have
// by themselves.
func TestRecalledAsByThemselves(t *testing.T) {
	all := slices.Concat(golden, roads, copies, guests)
	rapid.Check(t, func(t *rapid.T) {
		// Evenly distributed, as what rapid draws is not.
		draw := &draw{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
		names, g := newCached(), all[draw.IntN(len(all))]
		start := 1_000_000_000_000 + draw.Uint64N(8)*uint64(time.Minute)
		r := newRecalling(correlate.Options{Resolver: names, OwnRoot: draw.IntN(2) == 0, Start: start})
		var what []string
		undated := draw.IntN(3) == 0
		for n := range 3 + draw.Uint64N(7) {
			s := newSim()
			g.what(s)
			events := again(s.events, n, func() uint64 { return 1 + draw.Uint64N(200) })
			for i := range events {
				if undated {
					copy(events[i].Payload[:], "abcdefghijklmnop") // as ping on Windows sends it
				}
			}
			if n > 1 { // something is remembered
				var change string
				events, change = draw.change(events, names, r)
				what = append(what, change)
			}
			r.add(events)
		}
		if diff := r.differ(); diff != "" {
			t.Fatalf("%s, undated %v, %q (-by itself +recalled):\n%s", g.name, undated, what, diff)
		}
	})
}

// draw draws at random.
type draw struct{ *rand.Rand }

// change changes something of a ping, of the names, or of what is known to be lost, or nothing, and
// says what.
func (d *draw) change(events []event.Event, names *cached, r *recalling) ([]event.Event, string) {
	one, other := &events[d.IntN(len(events))], &events[d.IntN(len(events))]
	switch d.IntN(12) {
	case 0, 1, 2:
		return events, "flip " + d.flip(reflect.ValueOf(one).Elem())
	case 3:
		i := d.IntN(len(events))
		return slices.Delete(events, i, i+1), "one is missing"
	case 4:
		names.rename(d)
		return events, "rename"
	case 5:
		one.SKB = other.SKB
		return events, "same buffer"
	case 6:
		one.Time = other.Time
		return events, "same time"
	case 7:
		for _, c := range r.both {
			c.Lost(one.Time, one.Time+1)
		}
		return events, "lost"
	case 8:
		for i := range events {
			if ev := &events[i]; ev.Hook.Acts() && d.IntN(2) == 0 {
				d.flip(reflect.ValueOf(&ev.Action).Elem())
			}
		}
		return events, "another deed"
	case 9:
		for i := range events {
			events[i].Payload[8]--
			events[i].Seq--
		}
		return events, "content of the ping before"
	}
	return events, "nothing"
}

// flip changes one bit of a value, and says of which field.
func (d *draw) flip(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct:
		i := d.IntN(v.NumField())
		return v.Type().Field(i).Name + "." + d.flip(v.Field(i))
	case reflect.Array:
		return d.flip(v.Index(d.IntN(v.Len())))
	default:
		v.SetUint(v.Uint() ^ 1<<d.IntN(8*int(v.Type().Size())))
		return ""
	}
}

// What is not compared of two events is what a shape compares, the content, which is that of the
// ping, and what only an event of a hook that acts has.
func TestAlikeComparesEveryField(t *testing.T) {
	elsewhere := []string{"Time", "SKB", "CPU", "Seq", "Payload", "Action", "Rewrite"}
	typ := reflect.TypeFor[event.Event]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		one := event.Event{Depth: 1}
		other := one
		increase(reflect.ValueOf(&other).Elem().Field(i))
		if got, want := correlate.Alike(&one, &other), slices.Contains(elsewhere, f.Name); got != want {
			t.Errorf("events that differ in %s are alike: %v, want %v", f.Name, got, want)
		}
	}
}

// increase changes a value.
func increase(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		increase(v.Field(v.NumField() - 1))
	case reflect.Array:
		increase(v.Index(0))
	default:
		v.SetUint(v.Uint() + 1)
	}
}
