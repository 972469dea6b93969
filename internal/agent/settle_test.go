// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// onePlace resolves everything to the same.
type onePlace struct{}

func (onePlace) NetNS(inode uint32) *trace.NetNS { return &trace.NetNS{Inode: inode} }
func (onePlace) DropReason(uint32) string        { return "" }
func (onePlace) Device(netns, index uint32) *trace.Device {
	return &trace.Device{NetNS: &trace.NetNS{Inode: netns}, Index: index}
}

// What changes hands is nobody's until no trace can be made any more of a packet of before: also
// of one that waits for a neighbour and then for names.
func TestNothingOfBeforeIsTracedOnceOwnersHaveSettled(t *testing.T) {
	const timeout = 2 * time.Second
	made := false
	const nameWait = 3 * time.Second
	c := correlate.New(correlate.Options{
		Timeout: timeout, Resolver: onePlace{}, Emit: func(*trace.Trace) { made = true },
		Named: func(uint32, uint32, uint64) bool { return false }, NameWait: nameWait,
	})
	start := uint64(time.Hour)
	c.Add(&event.Event{Time: start, Hook: event.NetifReceiveSKB, Type: event.EchoRequest, NetNS: 1, IfIndex: 2, SKB: 3, Seq: 4})
	after := time.Duration(0)
	for ; !made && after < time.Hour; after += 100 * time.Millisecond {
		c.Advance(start + uint64(after))
	}
	if !made || after <= timeout+time.Second {
		t.Fatalf("the ping does not wait: traced %t, after %s", made, after)
	}
	if after >= settle(timeout, nameWait) {
		t.Errorf("the trace of a packet is made %s after it, and a port is its new owner's after %s", after, settle(timeout, nameWait))
	}
}
