// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
)

// rank says how likely it is that a branch which ends like this is the packet's own
// way and not that of a copy.
type rank int

const (
	rankNone      rank = iota
	rankBystander      // a copy that reached a host other than its destination
	rankOpen           // last seen on its way
	rankDropped
	rankLeft      // left this host where the request came in
	rankDelivered // taken by a process
)

// bystander is the kernel's reason for dropping a frame with another's address, as
// flooded by a bridge.
const bystander = "OTHERHOST"

// choose returns the index of the node where the packet's own branch ends, of those
// that belong to no journey yet. exit, if not nil, is the event on whose device a reply leaves this
// host. It returns -1 if nothing is left but what sockets did with their copies.
func (t tree) choose(reason func(uint32) string, exit *event.Event) int {
	best, bestRank := -1, rankNone
	for i := range t {
		n := &t[i]
		if n.kids > 0 || n.owner != 0 || t.ownCopy(i) {
			continue
		}
		r := t.rank(n, reason, exit)
		if r > bestRank || r == bestRank && r != rankDelivered {
			best, bestRank = i, r
		}
	}
	return best
}

// ownCopy reports whether the branch that ends at node i is only what sockets make of
// a packet that has been taken already: each raw socket in the namespace takes a copy,
// and then no socket is left for the original, which is freed.
func (t tree) ownCopy(i int) bool {
	at := t.fork(i)
	return at >= 0 && t[i].parent == at && t[i].terminal() && t[at].ev.Hook.Inbound()
}

func (t tree) rank(n *node, reason func(uint32) string, exit *event.Event) rank {
	switch {
	case n.ev.Hook == event.SKBCopyDatagramIovec:
		return rankDelivered
	case n.xmit != nil && exit != nil && sameDevice(n.ev, exit):
		return rankLeft
	case n.ev.Hook == event.KfreeSKB && reason(n.ev.Code) == bystander:
		return rankBystander
	case n.ev.Hook == event.KfreeSKB:
		return rankDropped
	}
	return rankOpen
}

// answered returns the index of the node where the request was when it was answered:
// the last one, in the namespace that made the reply, before the reply; or -1.
func (t tree) answered(reply *event.Event) int {
	return t.last(func(n *node) bool {
		return n.ev.NetNS == reply.NetNS && n.ev.Time <= reply.Time && n.ev.Hook != event.KfreeSKB
	})
}
