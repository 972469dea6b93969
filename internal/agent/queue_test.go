// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/lab"
	"github.com/dwelltrace/dwell/internal/pinger"
)

// full is a queue that takes a packet at once, holds two and drops the next: 98 bytes
// each.
func full(p *place, device string) { p.throttle(device, 1000, 100, 200) }

func TestFullQueue(t *testing.T) {
	for _, tc := range []struct {
		name, device string
		want         death
	}{
		{"request", "ens3", death{"QDISC_DROP", "request", "hypervisor > queue ens3", "hypervisor"}},
		{"reply", "brovsns-br", death{"QDISC_DROP", "reply", "device ovs-br > queue brovsns-br", "hypervisor"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const count, room = 12, 3
			l := up(t, "bridge")
			full(at(t, l, lab.Hypervisor), tc.device)
			opts := agent.Options{Count: count, Timeout: time.Second}
			roots, sum := exported(t, []*lab.Lab{l}, opts, func() {
				ping(t, l, pinger.Config{Count: count, Interval: time.Microsecond})
			})
			if sum.Complete < room || sum.Complete+sum.Dropped[tc.want.reason] != count || len(sum.Dropped) != 1 {
				t.Fatal(sum)
			}
			for _, r := range roots {
				if r.attr(trace.AttrOutcome) == trace.Dropped.String() {
					checkDeath(t, r, tc.want)
				}
			}
		})
	}
}

// A link that goes down while pings are under way: what came before is complete, what
// comes after is dropped, and nothing is left open.
func TestLinkGoesDown(t *testing.T) {
	const count = 40
	l := up(t, "bridge")
	outside := at(t, l, lab.Outside)
	at(t, l, lab.Hypervisor).neighbour("ens3", gateway, outside.hardware("outside0"))
	opts := agent.Options{Count: count, Timeout: 500 * time.Millisecond}
	roots, sum := exported(t, []*lab.Lab{l}, opts, func() {
		ping(t, l, pinger.Config{Count: count, Interval: time.Millisecond, OnReply: func(e pinger.Echo) {
			if e.Seq == count/2 {
				outside.down("outside0")
			}
		}})
	})
	if sum.Complete < count/2 || len(sum.Dropped) == 0 || sum.Pings() != count || len(sum.Incomplete) != 0 {
		t.Fatal(sum)
	}
	for _, r := range roots {
		checkTiling(t, r)
		switch reason := r.attr(trace.AttrErrorType); reason {
		case "NOT_SPECIFIED": // the driver finds the other end down
			checkDeath(t, r, death{reason, "request", "hypervisor > driver ens3", "hypervisor"})
		case "QDISC_DROP": // the kernel has taken the queues away
			checkDeath(t, r, death{reason, "request", "hypervisor > queue ens3", "hypervisor"})
		}
	}
}

// Where the kernel drops nothing and yet does not answer, no drop is made up.
func TestSilence(t *testing.T) {
	l := up(t, "bridge")
	at(t, l, lab.Outside).sysctl("ipv4/icmp_echo_ignore_all", "1")
	guest := at(t, l, lab.Guest)
	roots, sum := exported(t, []*lab.Lab{l}, agent.Options{Count: 1, Timeout: 300 * time.Millisecond}, func() {
		guest.must(guest.send(echo{target: l.Target(false), id: 77, seq: 1, payload: clockPayload(56)}))
	})
	if sum.Incomplete[trace.CauseNoReply] != 1 {
		t.Fatal(sum)
	}
	checkTiling(t, roots[0])
}
