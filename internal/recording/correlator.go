// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Correlator is a [correlate.Correlator] whose calls are recorded. Each is recorded when
// it is over, so that the answers of its resolver precede it.
type Correlator struct {
	*correlate.Correlator
	w     *Writer
	names correlate.Resolver
	// named is that of the options, or nil.
	named func(netns, ifindex uint32, seen uint64) bool
}

// Correlator returns a Correlator with these options, all of whose work is recorded.
// offset is what to add to the events' clock for nanoseconds since the Unix epoch. It
// writes the recording's header and may be called once.
func (w *Writer) Correlator(opts correlate.Options, offset int64) *Correlator {
	w.begin(Header{
		Info: w.info, Clock: "CLOCK_MONOTONIC", Offset: offset,
		Correlator: optionsOf(opts), EventFields: eventFields(),
	})
	c := &Correlator{w: w, names: opts.Resolver, named: opts.Named}
	opts.Resolver = asked{opts.Resolver, w}
	if opts.Rules == nil {
		opts.Rules = correlate.Numbers{}
	}
	opts.Rules = judged{opts.Rules, w}
	if opts.FastPath == nil {
		opts.FastPath = correlate.Numbers{}
	}
	opts.FastPath = hastened{opts.FastPath, w}
	if opts.Named != nil {
		opts.Named = w.awaited(opts.Named)
	}
	c.Correlator = correlate.New(opts)
	return c
}

// Add calls and records [correlate.Correlator.Add].
func (c *Correlator) Add(ev *event.Event) {
	c.introduce(ev)
	c.Correlator.Add(ev)
	c.w.event(ev)
}

// introduce records the names of what an event is about if they were never asked for,
// so that a replay can print the event before its trace is finished. Those that are not there yet are
// left to a later event.
func (c *Correlator) introduce(ev *event.Event) {
	c.introducePlace(event.Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}, ev.Time)
	if ev.Rewrite.Peer != (event.Place{}) {
		c.introducePlace(ev.Rewrite.Peer, ev.Time)
	}
	if ev.Hook.CodeKind() == event.CodeDropReason {
		if _, known := c.w.names.reasons[ev.Code]; !known {
			c.w.reasonIs(0, ev.Code, c.names.DropReason(ev.Code))
		}
	}
}

// introducePlace records the names of a namespace and of a device in it, if there is one.
func (c *Correlator) introducePlace(at event.Place, seen uint64) {
	k := deviceKey{at.NetNS, at.IfIndex}
	_, netnsKnown := c.w.names.netns[at.NetNS]
	_, deviceKnown := c.w.names.devices[k]
	deviceKnown = deviceKnown || at.IfIndex == 0
	if netnsKnown && deviceKnown || c.named != nil && !c.named(at.NetNS, at.IfIndex, seen) {
		return
	}
	if !netnsKnown {
		c.w.netnsIs(0, at.NetNS, c.names.NetNS(at.NetNS))
	}
	if !deviceKnown {
		c.w.deviceIs(0, k, c.names.Device(k.netns, k.ifindex))
	}
}

// Lost calls and records [correlate.Correlator.Lost].
func (c *Correlator) Lost(from, to uint64) {
	c.Correlator.Lost(from, to)
	c.w.lossy = true
	c.w.record(opLost, from, to)
}

// Advance calls and records [correlate.Correlator.Advance].
func (c *Correlator) Advance(now uint64) {
	before := c.w.names.questions
	c.Correlator.Advance(now)
	c.w.advance(now)
	if c.w.names.questions != before {
		c.w.settle() // the next call asks again about pings that wait for names
	}
}

// Flush calls and records [correlate.Correlator.Flush].
func (c *Correlator) Flush() {
	c.Correlator.Flush()
	c.w.record(opFlush)
}

// awaited counts and records the answers to whether names are there.
func (w *Writer) awaited(named func(netns, ifindex uint32, seen uint64) bool) func(netns, ifindex uint32, seen uint64) bool {
	return func(netns, ifindex uint32, seen uint64) bool {
		is := named(netns, ifindex, seen)
		w.names.questions++
		w.namedIs(w.names.questions, deviceKey{netns, ifindex}, is)
		return is
	}
}

// asked is a resolver whose answers to the correlator are counted and recorded.
type asked struct {
	correlate.Resolver
	w *Writer
}

// NetNS implements [correlate.Resolver].
func (a asked) NetNS(inode uint32) *trace.NetNS {
	ns := a.Resolver.NetNS(inode)
	a.w.names.questions++
	a.w.netnsIs(a.w.names.questions, inode, ns)
	return ns
}

// Device implements [correlate.Resolver].
func (a asked) Device(inode, ifindex uint32) *trace.Device {
	d := a.Resolver.Device(inode, ifindex)
	a.w.names.questions++
	a.w.deviceIs(a.w.names.questions, deviceKey{inode, ifindex}, d)
	return d
}

// DropReason implements [correlate.Resolver].
func (a asked) DropReason(code uint32) string {
	name := a.Resolver.DropReason(code)
	a.w.names.questions++
	a.w.reasonIs(a.w.names.questions, code, name)
	return name
}
