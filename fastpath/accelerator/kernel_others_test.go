// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"fmt"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// TestKernelOthers wants flows to stay fast while devices come and go that concern nobody, such as those of
// containers.
func TestKernelOthers(t *testing.T) {
	l := newLab(t)
	l.run(l.hv, "ip link add docker0 type bridge")
	l.start(flow.On)
	c := l.udp()
	c.fast()
	before, slow, over, told := c.sent(), l.slow(flow.Changed), l.slow(flow.Lease), l.m.Stats()
	const pairs, packets, steps = 100, 4, 3
	for i := range pairs {
		x, y := fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)
		for _, command := range []string{"add " + x + " type veth peer name " + y, "set " + x + " master docker0 alias container", "del " + x} {
			l.run(l.hv, "ip link "+command)
			for range packets {
				if err := c.say(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	after, stats := c.sent(), l.m.Stats()
	over = l.slow(flow.Lease) - over // as many as the machine is slow
	for i, direction := range []string{"from", "to"} {
		// The kernel itself takes what it knew of routes for old when a device goes: a packet of each is slow.
		if n := after[i] - before[i]; n+over < pairs*packets*steps*3/4 {
			t.Errorf("only %d of %d packets %s the tenant were fast; changes %v, before %v", n, pairs*packets*steps, direction, stats.Changes, told.Changes)
		}
	}
	if n := l.slow(flow.Changed) - slow; n > pairs/4 {
		t.Errorf("%d packets were slow because something had changed", n)
	}
	if stats.Changes["devices"] == told.Changes["devices"] {
		t.Error("no device has come or gone")
	}
}

// slow returns how many packets of red's were slow for a reason.
func (l *lab) slow(why flow.Reason) uint64 {
	l.Helper()
	t := l.status().Tenants[0]
	return t.From.Slow[why.String()] + t.To.Slow[why.String()]
}
