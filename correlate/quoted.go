// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"

	"github.com/dwelltrace/dwell/correlate/event"
)

// maxQuoted is in how many of the pings that were begun last the one is looked for about
// which an ICMP error is.
const maxQuoted = 4096

// quoted returns the open ping about which ev, an ICMP error, is, if the error quotes too
// little of the packet to find it by content: RFC 792 asks for no more than its first 8
// bytes, which are none of the payload. From then on the ping is found by what is quoted.
func (c *Correlator) quoted(ev *event.Event) *ping {
	if ev.Type != event.RequestError && ev.Type != event.ReplyError {
		return nil
	}
	p := c.waiting.tail
	for n := 0; p != nil && n < maxQuoted; n++ {
		if p.quotedIn(ev) {
			c.open.alias(flowKeyOf(ev), p)
			return p
		}
		p = p.prev
	}
	return nil
}

// quotedIn reports whether ev, an ICMP error, quotes a packet of p: a part of its payload, and
// addresses and identifier that one of them had.
func (p *ping) quotedIn(ev *event.Event) bool {
	part := bytes.TrimRight(ev.Payload[:], "\x00")
	if p.key.seq != ev.Seq || !bytes.HasPrefix(p.key.payload[:], part) {
		return false
	}
	k := flowKeyOf(ev)
	return p.any(func(e *event.Event) bool {
		had := flowKeyOf(e)
		return had.id == k.id && had.a == k.a && had.b == k.b
	})
}
