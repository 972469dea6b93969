// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// questions is a Resolver that notes what it is asked and what it answers.
type questions struct {
	Resolver
	// noted is nil unless the answers are of interest.
	noted *answers
}

// answers are those of a Resolver, each once. What it said of a drop reason is not among them:
// it is the same as long as the kernel runs.
type answers struct {
	netNSs  []*trace.NetNS
	inodes  []uint32
	devices []*trace.Device
	places  []event.Place
}

// NetNS is that of Resolver.
func (q *questions) NetNS(inode uint32) *trace.NetNS {
	ns := q.Resolver.NetNS(inode)
	if a := q.noted; a != nil && !slices.Contains(a.inodes, inode) {
		a.inodes, a.netNSs = append(a.inodes, inode), append(a.netNSs, ns)
	}
	return ns
}

// Device is that of Resolver.
func (q *questions) Device(netns, ifindex uint32) *trace.Device {
	d := q.Resolver.Device(netns, ifindex)
	at := event.Place{NetNS: netns, IfIndex: ifindex}
	if a := q.noted; a != nil && !slices.Contains(a.places, at) {
		a.places, a.devices = append(a.places, at), append(a.devices, d)
	}
	return d
}

// same reports whether the Resolver still answers as it did then.
func (q *questions) same(a *answers) bool {
	for i, inode := range a.inodes {
		if q.Resolver.NetNS(inode) != a.netNSs[i] {
			return false
		}
	}
	for i, at := range a.places {
		if q.Resolver.Device(at.NetNS, at.IfIndex) != a.devices[i] {
			return false
		}
	}
	return true
}
