// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"strings"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// ping is a trace, with what is asked of it again and again.
type ping struct {
	t *trace.Trace
	// at is when it ended, on this machine's clock.
	at time.Time
	// rtt is in nanoseconds; if there was no reply, how long the ping was seen.
	rtt     int64
	replied bool
	// words are what a filter searches, in lower case; made when the first does.
	words string
}

func newPing(t *trace.Trace, at time.Time) *ping {
	p := &ping{t: t, at: at}
	if p.rtt, p.replied = t.RTT(); !p.replied {
		p.rtt = t.Root().Duration()
	}
	return p
}

func (p *ping) slot() int64 { return p.at.Unix() / slotSeconds }

// reason says why a ping was not complete, "" if it was.
func (p *ping) reason() string {
	switch p.t.Outcome {
	case trace.Dropped:
		return p.t.DropReason
	case trace.Incomplete:
		return string(p.t.Cause)
	}
	return ""
}

// match reports whether all words of a filter occur in what is known of the ping: outcome,
// reason, addresses, and the names of devices, bridges and namespaces.
func (p *ping) match(filter []string) bool {
	if len(filter) == 0 {
		return true
	}
	if p.words == "" {
		p.words = p.searched()
	}
	for _, word := range filter {
		if !strings.Contains(p.words, word) {
			return false
		}
	}
	return true
}

func (p *ping) searched() string {
	var b strings.Builder
	add := func(s string) {
		b.WriteString(strings.ToLower(s))
		b.WriteByte('\n')
	}
	add(p.t.Outcome.String())
	add(p.reason())
	add(p.t.Ping.String())
	var last *trace.NetNS
	for i := range p.t.Spans {
		s := &p.t.Spans[i]
		if s.NetNS != last {
			add(s.NetNS.Name)
			last = s.NetNS
		}
		for _, d := range []*trace.Device{s.Device, s.Peer} {
			if d != nil {
				add(d.Name)
				add(d.Bridge)
			}
		}
	}
	return b.String()
}

// filterWords splits what was typed.
func filterWords(typed string) []string { return strings.Fields(strings.ToLower(typed)) }
