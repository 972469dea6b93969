// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/inventory"
)

// Names is what the loop asks about namespaces and devices. It answers at once, from what is
// known, and has what is not known looked for. It is an interface so that a test can be slow to find
// what a kernel mostly tells at once.
type Names interface {
	NetNS(inode uint32) *trace.NetNS
	Device(netns, ifindex uint32) *trace.Device
	// Named reports whether the answers about a place are as good as they can be for a packet that
	// was seen there at a time, see [inventory.View.Named]. Forget makes it ask anew.
	Named(netns, ifindex uint32, seen time.Time) bool
	Forget()
}

var _ Names = (*inventory.View)(nil)

// loopNames is the [correlate.Resolver] of the loop, which waits for no look at a namespace: what
// is not known yet is asked for when the first event of it is read, and a ping that is closed before
// there is an answer waits for it in the correlator, which no other does.
type loopNames struct {
	Names
	reasons *bpf.DropReasons
	// wall is when it was now on the events' clock.
	wall time.Time
	now  uint64
	// last is the place of the last event.
	last event.Place
}

// DropReason implements [correlate.Resolver].
func (n *loopNames) DropReason(code uint32) string { return n.reasons.Name(code) }

// at says what time it is on the events' clock. What was known is asked anew from then on.
func (n *loopNames) at(now uint64) {
	n.wall, n.now = time.Now(), now
	n.renew()
}

func (n *loopNames) renew() {
	n.last = event.Place{}
	n.Forget()
}

// note has the place of an event looked for if it is not known, so that it is when its ping is closed.
func (n *loopNames) note(ev *event.Event) {
	if at := (event.Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}); at != n.last {
		n.last = at
		n.named(at.NetNS, at.IfIndex, ev.Time)
	}
}

// named is [correlate.Options.Named].
func (n *loopNames) named(netns, ifindex uint32, seen uint64) bool {
	return n.Named(netns, ifindex, n.wall.Add(-time.Duration(n.now-min(n.now, seen))))
}

// nameAtLast waits for the names of the pings that are left when the run is over, no longer than
// any of them would. Nothing else is to be done any more.
func (a *Agent) nameAtLast() {
	timer := time.NewTimer(a.opts.NameWait)
	defer timer.Stop()
	for {
		a.names.renew()
		a.correlator.Advance(a.latest)
		if s := a.correlator.Stats(); s.Open+s.Unnamed == 0 || s.Unnamed == 0 && a.inventory.Settled() {
			return
		}
		select {
		case <-a.looked:
		case <-timer.C:
			return
		}
	}
}
