// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"cmp"
	"maps"
	"math"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// recentPings is how many closed pings are remembered to know late events.
const recentPings = 32768

// maxSpare is how many emptied event buffers are kept for new pings.
const maxSpare = 4096

// NeighbourWait is for how long a packet can wait for a neighbour's address, and so for how
// long beyond Options.Timeout a ping may be open: mcast_solicit and ucast_solicit attempts of
// retrans_time_ms each, 3 and 3 of 1 s by default (Documentation/networking/ip-sysctl.rst).
const NeighbourWait = 6 * time.Second

// maxHeld bounds the pings that are kept open for that.
const maxHeld = 4096

// Correlator collects events and makes a trace of each ping. It is not safe for
// concurrent use: one goroutine reads the ring buffer and owns it.
type Correlator struct {
	opts   Options
	open   table
	recent recent
	// waiting holds the open pings in the order in which they were opened, until their
	// reply has been delivered; done holds them from then on. held are those that may
	// still wait for a neighbour when the timeout is over.
	waiting, done, held list
	holds               int
	// unnamed are closed and wait for names; place is the last one of an event of the same ping of
	// which it is known that it has its names.
	unnamed list
	place   event.Place
	// now is the time of the last call of Advance.
	now       uint64
	losses    []loss
	stats     Stats
	spare     [][]event.Event
	assembler assembler
}

// loss is a stretch of time in which the kernel side lost events.
type loss struct{ from, to uint64 }

// New returns a Correlator. It panics if Resolver or Emit is missing.
func New(opts Options) *Correlator {
	if opts.Resolver == nil || opts.Emit == nil {
		panic("correlate: Options.Resolver and Options.Emit are required")
	}
	opts = opts.withDefaults()
	return &Correlator{
		opts:      opts,
		open:      newTable(opts.Wall),
		recent:    newRecent(recentPings),
		stats:     Stats{Incomplete: make(map[trace.Cause]uint64)},
		assembler: newAssembler(opts),
	}
}

// Add takes one event. Events may come in any order within Options.Grace; the
// event is copied.
func (c *Correlator) Add(ev *event.Event) {
	c.stats.Events++
	p := c.pingOf(ev)
	if p == nil {
		c.stats.Late++
		return
	}
	if len(p.events) >= c.opts.MaxEvents {
		c.stats.Overflow++
		return
	}
	wasDone := p.done != 0
	p.add(ev)
	c.open.learn(p, len(p.events)-1)
	if packet.Handed(ev) && len(p.events) < c.opts.MaxEvents {
		arrival := packet.Arrival(ev)
		p.add(&arrival)
		c.open.learn(p, len(p.events)-1)
	}
	if p.done != 0 && !wasDone {
		c.done.push(p)
	}
}

// pingOf returns the ping that ev belongs to, a new one if it is the first of one, or
// nil if it is a late event of a ping already closed.
func (c *Correlator) pingOf(ev *event.Event) *ping {
	switch p := c.open.find(ev); {
	case p == nil:
		if p = c.quoted(ev); p != nil {
			return p
		}
		return c.begin(ev)
	case p.overtaken(ev):
		return c.succeed(p, ev)
	case ev.Time < p.notBefore:
		return nil // of the ping with the same content before this
	default:
		return p
	}
}

// begin opens a ping for its first event, or returns nil if that is late. A request
// that is sent, or that comes in long after, is not: some tools send the same bytes
// again and again.
func (c *Correlator) begin(ev *event.Event) *ping {
	last, seen := c.closed(ev)
	if !seen {
		return c.add(ev)
	}
	long := ev.Time > last+uint64(c.opts.Grace)
	if ev.Type != event.EchoRequest || !packet.Made(ev) && !(packet.Enters(ev) && long) {
		return nil
	}
	return c.addAgain(ev)
}

// succeed opens a ping for a request that begins another with the content of p.
func (c *Correlator) succeed(p *ping, ev *event.Event) *ping {
	if p.done != 0 && p.visited(ev.NetNS) {
		c.forget(p)
	} else {
		c.open.contest(p) // there may be more of it
	}
	return c.addAgain(ev)
}

// add opens a ping for its first event.
func (c *Correlator) add(ev *event.Event) *ping {
	c.makeRoom()
	p := &ping{events: c.buffer()}
	_, p.dated = sentAt(ev, int64(ev.Time)+c.opts.Wall)
	c.open.insert(ev, p)
	c.waiting.push(p)
	c.stats.Open++
	return p
}

// addAgain opens a ping whose content has been seen in another before, so that its ID
// must be made of something else.
func (c *Correlator) addAgain(ev *event.Event) *ping {
	p := c.add(ev)
	p.local, p.notBefore = true, ev.Time
	return p
}

// closed returns when the latest event was of a ping to which ev may belong and that was
// closed lately, and whether there is one.
func (c *Correlator) closed(ev *event.Event) (uint64, bool) {
	if c.open.tells(ev) {
		if last, ok := c.recent.lastOf(flowKey{echo: echoKeyOf(ev)}); ok {
			return last, true
		}
	}
	last, ok := c.recent.lastOf(flowKeyOf(ev))
	if !ok && ev.Type == event.EchoReply {
		return c.recent.lastOf(toAll(flowKeyOf(ev)))
	}
	return last, ok
}

// makeRoom evicts the oldest ping if as many are open as may be.
func (c *Correlator) makeRoom() {
	for c.stats.Open >= c.opts.MaxOpen {
		c.stats.Evicted++
		c.finish(cmp.Or(c.held.front(), c.waiting.front(), c.done.front()), trace.CauseEvicted)
	}
}

// Lost reports that the kernel side lost events between from and to, on the events'
// clock. Pings that were open then are marked.
func (c *Correlator) Lost(from, to uint64) {
	if n := len(c.losses); n > 0 && from <= c.losses[n-1].to {
		c.losses[n-1].to = max(to, c.losses[n-1].to)
		return
	}
	c.losses = append(c.losses, loss{from, to})
}

// Advance closes what is over at now, on the events' clock: pings whose reply was
// delivered at least Grace ago, and those that began at least Timeout ago. The
// caller has added all events up to now before. Those that waited for names are emitted, if
// they have them.
func (c *Correlator) Advance(now uint64) {
	c.now = max(c.now, now)
	c.name(now)
	grace, timeout := uint64(c.opts.Grace), uint64(c.opts.Timeout)
	for p := c.done.front(); p != nil && p.done+grace <= now; p = c.done.front() {
		c.finish(p, "")
	}
	for p := c.waiting.front(); p != nil && p.first+timeout <= now; p = c.waiting.front() {
		if !c.hold(p) {
			c.finish(p, "")
		}
	}
	for p := c.held.front(); p != nil && p.first+timeout+uint64(NeighbourWait) <= now; p = c.held.front() {
		c.finish(p, "")
	}
	for len(c.losses) > 0 && c.losses[0].to+2*timeout <= now {
		c.losses = c.losses[1:]
	}
}

// hold keeps p open beyond the timeout if it may still wait for a neighbour, so that its
// death is not missed if none answers, and reports whether it does. There is a bound to
// such pings, because others may have been taken without an event.
func (c *Correlator) hold(p *ping) bool {
	if c.holds >= maxHeld || !p.waits() {
		return false
	}
	p.held = true
	c.holds++
	c.held.push(p)
	return true
}

// Flush closes every open ping, and none waits for names any more. Those that are not complete
// get the cause [trace.CauseAgentStopped], if nothing better is known.
func (c *Correlator) Flush() {
	for p := c.done.front(); p != nil; p = c.done.front() {
		c.finish(p, "")
	}
	for _, l := range [...]*list{&c.held, &c.waiting} {
		for p := l.front(); p != nil; p = l.front() {
			c.finish(p, trace.CauseAgentStopped)
		}
	}
	c.name(math.MaxUint64)
}

// Stats returns a copy of the counters.
func (c *Correlator) Stats() Stats {
	s := c.stats
	s.Incomplete = maps.Clone(s.Incomplete)
	for _, l := range [...]*list{&c.held, &c.waiting, &c.done} {
		if p := l.front(); p != nil && (s.Oldest == 0 || p.first < s.Oldest) {
			s.Oldest = p.first
		}
	}
	return s
}

// finish closes p, and emits its trace unless that waits for names.
func (c *Correlator) finish(p *ping, cause trace.Cause) {
	p.leave()
	if p.held {
		c.holds--
	}
	p.cause = cause
	if c.lossy(p) {
		p.cause = trace.CauseEventsLost
	}
	c.forget(p)
	c.stats.Open--
	c.place = event.Place{}
	if !c.named(p) {
		c.await(p)
		return
	}
	c.emit(p)
}

// emit makes the trace of a ping that is closed and emits it.
func (c *Correlator) emit(p *ping) {
	if t := c.assembler.assemble(p); t == nil {
		c.stats.Stray += uint64(len(p.events))
	} else {
		c.stats.count(t)
		if c.opts.Closing != nil {
			c.opts.Closing(p.events)
		}
		c.opts.Emit(t)
	}
	if len(c.spare) < maxSpare {
		c.spare = append(c.spare, p.events[:0])
	}
	p.events = nil
}

// forget makes what else comes of p late. Its trace is made when its time has come, because what was
// lost meanwhile may not be known before.
func (c *Correlator) forget(p *ping) {
	if !p.forgotten {
		p.forgotten = true
		c.open.remove(p)
		c.remember(p)
	}
}

// lossy reports whether events were lost while p was on its way: until its end if
// that was seen, otherwise until the wait for it timed out.
func (c *Correlator) lossy(p *ping) bool {
	end := p.last
	if p.done == 0 {
		end = max(end, p.first+uint64(c.opts.Timeout/time.Nanosecond))
	}
	for _, l := range c.losses {
		if l.from <= end && p.first <= l.to {
			return true
		}
	}
	return false
}

// remember makes late events of p known as such.
func (c *Correlator) remember(p *ping) {
	if !p.local {
		c.recent.add(flowKey{echo: p.key}, p.last)
	}
	for _, k := range p.keys {
		c.recent.add(k, p.last)
	}
}

// buffer returns an empty list of events, a used one if there is any.
func (c *Correlator) buffer() []event.Event {
	if n := len(c.spare); n > 0 {
		b := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return b
	}
	return make([]event.Event, 0, 32)
}
