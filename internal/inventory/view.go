// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// View answers as an Inventory does, at once and from what is known: it asks for looks and waits for
// none. Named says whether it is worth waiting for one. It is for one goroutine.
type View struct {
	v *Inventory
	// ask is n.request, made once.
	ask asker
	// settled are places of which Named said so since Forget, and devices and namespaces what was
	// certain of them, each where its numbers put it.
	settled    [slots]trace.Place
	devices    [slots]*trace.Device
	namespaces [slots]*trace.NetNS
	// asked is set when a look has been asked for.
	asked bool

	// What follows is about the question that is being answered: when the packet was seen, and whether
	// a look is to come; if so, at a namespace that was not looked at after that, or about which
	// the kernel has told of changes that no look has followed.
	seen                    time.Time
	comes, pending, touched bool
}

// slots is how many places a View remembers.
const slots = 64

func slot(inode, ifindex uint32) uint32 { return (inode ^ ifindex*7) % slots }

// View returns what answers for another goroutine.
func (v *Inventory) View() *View {
	n := &View{v: v}
	n.ask = n.request
	return n
}

// NetNS returns the namespace with the inode number, see [Inventory.NetNS].
func (n *View) NetNS(inode uint32) *trace.NetNS {
	at := &n.namespaces[slot(inode, 0)]
	if ns := *at; ns != nil && ns.Inode == inode {
		return ns
	}
	n.asked = false
	s := n.v.space(inode)
	snap := n.v.current(s, n.ask)
	ns := n.v.sureNetNS(s, snap)
	if !n.asked && ns == snap.netns {
		*at = ns
	}
	return ns
}

// Device returns the device with the index in the namespace, see [Inventory.Device].
func (n *View) Device(inode, ifindex uint32) *trace.Device {
	at := &n.devices[slot(inode, ifindex)]
	if d := *at; d != nil && d.Index == ifindex && d.NetNS.Inode == inode {
		return d
	}
	n.asked = false
	d, certain := n.v.device(inode, ifindex, n.ask)
	if !n.asked && certain {
		*at = d
	}
	return d
}

// Named reports whether what NetNS and Device say of a place is as good as it can be for a packet
// that was seen there at a time, on the inventory's clock; index 0 is the namespace alone. If not, a
// look is to come, and the packet's trace should be made after that: the place is not known, or it
// was last looked at before the packet was seen, and longer than Config.MaxAge ago.
func (n *View) Named(inode, ifindex uint32, seen time.Time) bool {
	at := trace.Place{NetNS: inode, Index: ifindex}
	settled := &n.settled[slot(inode, ifindex)]
	if *settled == at && inode != 0 {
		return true
	}
	v, s := n.v, n.v.space(inode)
	n.seen, n.comes, n.pending, n.touched = seen, false, false, false
	snap := v.current(s, n.ask)
	if _, ok := snap.devices[ifindex]; ifindex != 0 && !ok && !n.pending {
		snap = n.ask(s, urgent)
	}
	if n.pending || n.touched && !v.sureOf(s, snap, ifindex) {
		return false
	}
	if !n.comes { // otherwise this is not so for a packet that was seen later
		*settled = at
	}
	return true
}

// Forget has the view look again at what it was asked before. Until then, it need not be right about
// what has changed.
func (n *View) Forget() {
	clear(n.settled[:])
	clear(n.devices[:])
	clear(n.namespaces[:])
}

// request asks for a look and notes whether there is to be one.
func (n *View) request(s *space, need need) *snapshot {
	n.asked = true
	if n.v.ask(s, need).comes {
		n.comes, n.touched = true, n.touched || s.touched.any.Load()
		n.pending = n.pending || !s.snapshot.Load().looked.After(n.seen)
	}
	return n.v.judged(s, n.v.cfg.Now())
}

// Settled reports whether nothing is being looked at, nor waits for that.
func (v *Inventory) Settled() bool { return v.waiting.none() }
