// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// ended returns an observer of events and what it closes when so many pings have ended:
// their replies are taken, or they are dropped where dies says that this is the end of one,
// and not of a copy.
func ended(count int, dies func(*event.Event) bool) (onEvent func(*event.Event), all <-chan struct{}) {
	type echo struct{ id, seq uint16 }
	over, done := map[echo]bool{}, make(chan struct{})
	return func(ev *event.Event) {
		switch ev.Hook {
		case event.SKBCopyDatagramIovec:
		case event.KfreeSKB:
			if !dies(ev) {
				return
			}
		default:
			return
		}
		before := len(over)
		over[echo{ev.ID, ev.Seq}] = true
		if before < count && len(over) == count {
			close(done)
		}
	}, done
}

// inHypervisor: there die all that die in these tests, and not the original of a reply
// of which a socket has the copy.
func inHypervisor(l *lab.Lab) func(*event.Event) bool {
	hypervisor, _ := l.NetNS(lab.Hypervisor)
	return func(ev *event.Event) bool { return ev.NetNS == hypervisor }
}

func await(t *testing.T, all <-chan struct{}) {
	t.Helper()
	select {
	case <-all:
	case <-time.After(unhurried):
		t.Errorf("the kernel has not told of every end after %v", unhurried)
	}
}

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
			hypervisor := at(t, l, lab.Hypervisor)
			hypervisor.sysctl("ipv6/conf/all/disable_ipv6", "1") // its multicast reports take room in the queue
			full(hypervisor, tc.device)
			onEvent, all := ended(count, inHypervisor(l))
			roots, sum := exported(t, []*lab.Lab{l}, agent.Options{OnEvent: onEvent}, func() {
				ctx, stop := context.WithCancel(t.Context())
				var pings sync.WaitGroup
				pings.Go(func() { pingUntil(ctx, t, l, pinger.Config{Count: count, Interval: time.Microsecond}) })
				await(t, all)
				stop()
				pings.Wait()
			})
			if sum.Complete < room || sum.Complete+sum.Dropped[tc.want.reason] != count || len(sum.Dropped) != 1 || sum.Pings() != count {
				for _, r := range roots {
					if o := r.attr(trace.AttrOutcome); o != trace.Dropped.String() {
						t.Logf("%s", r)
					}
				}
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

// A link goes down: what came before is complete, what comes after is dropped, whether the
// kernel has noticed already or not, and nothing is left open.
func TestLinkGoesDown(t *testing.T) {
	const before, after = 20, 20
	l := up(t, "bridge")
	outside := at(t, l, lab.Outside)
	at(t, l, lab.Hypervisor).neighbour("ens3", gateway, outside.hardware("outside0"))
	onEvent, all := ended(before+after, inHypervisor(l))
	roots, sum := exported(t, []*lab.Lab{l}, agent.Options{OnEvent: onEvent}, func() {
		ping(t, l, pinger.Config{Count: before, Interval: time.Millisecond, ID: 1})
		outside.down("outside0")
		ping(t, l, pinger.Config{Count: after, Interval: time.Millisecond, Timeout: time.Millisecond, ID: 2})
		await(t, all)
	})
	if sum.Complete != before || len(sum.Dropped) == 0 || sum.Pings() != before+after || len(sum.Incomplete) != 0 {
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
