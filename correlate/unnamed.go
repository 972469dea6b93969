// SPDX-License-Identifier: Apache-2.0

package correlate

import "github.com/dwelltrace/dwell/correlate/event"

// A ping that is closed while names that its trace needs are still being looked for waits, see
// Options.Named: not in the way of others, no longer than Options.NameWait, and no more of them
// at a time than Options.MaxUnnamed. It takes no more events.

// named reports whether all places where p was seen have the names that they will get. It goes on
// where it stopped the last time.
func (c *Correlator) named(p *ping) bool {
	if c.opts.Named == nil {
		return true
	}
	for ; p.asked < len(p.events); p.asked++ {
		ev := &p.events[p.asked]
		at := event.Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}
		if at != c.place && !c.opts.Named(at.NetNS, at.IfIndex, p.last) {
			c.place = event.Place{}
			return false
		}
		c.place = at
		if to := ev.Action.To; to != 0 && !c.opts.Named(ev.NetNS, to, p.last) {
			return false
		}
	}
	return true
}

// await has a ping that is closed wait for names. If as many wait as may, the one that has waited
// for longest does so no more.
func (c *Correlator) await(p *ping) {
	if c.stats.Unnamed >= c.opts.MaxUnnamed {
		c.giveUp(c.unnamed.front())
	}
	p.closed = max(c.now, p.last)
	c.unnamed.push(p)
	c.stats.Unnamed++
}

// name emits the traces of pings that have waited for names, and have them now or have waited for
// as long as they may.
func (c *Correlator) name(now uint64) {
	for p := c.unnamed.front(); p != nil; {
		next := p.next
		c.place = event.Place{} // another may have been asked about another time
		switch {
		case c.named(p):
			c.release(p)
		case p.closed+uint64(c.opts.NameWait) <= now:
			c.giveUp(p)
		}
		p = next
	}
}

// giveUp emits the trace of a ping that has waited for names with what is known.
func (c *Correlator) giveUp(p *ping) {
	c.stats.GivenUp++
	c.release(p)
}

func (c *Correlator) release(p *ping) {
	p.leave()
	c.stats.Unnamed--
	c.emit(p)
}

// Unnamed returns how many pings are closed and wait for names.
func (c *Correlator) Unnamed() int { return c.stats.Unnamed }
