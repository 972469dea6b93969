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
	before, slow, told := c.sent(), l.changed(), l.m.Stats()
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
	for i, direction := range []string{"from", "to"} {
		// The kernel itself takes what it knew of routes for old when a device goes: a packet of each is slow.
		if n := after[i] - before[i]; n < pairs*packets*steps*3/4 {
			t.Errorf("only %d of %d packets %s the tenant were fast; changes %v, before %v", n, pairs*packets*steps, direction, stats.Changes, told.Changes)
		}
	}
	if n := l.changed() - slow; n > pairs/4 {
		t.Errorf("%d packets were slow because something had changed", n)
	}
	if stats.Changes["devices"] == told.Changes["devices"] {
		t.Error("no device has come or gone")
	}
}

// changed returns how many packets of red's were slow because something had changed.
func (l *lab) changed() uint64 {
	l.Helper()
	t := l.status().Tenants[0]
	return t.From.Slow[flow.Changed.String()] + t.To.Slow[flow.Changed.String()]
}
