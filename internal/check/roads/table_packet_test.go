// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/agent"
)

// packetRoads are those on which the packet is special: in pieces, alike, for many, or
// not answered.
func packetRoads() []road {
	return []road{
		{
			name: "fragments", what: "an echo in three fragments through a router",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2", "2001:db8:2::2") },
			pings: []traffic{
				{from: "a", to: "198.18.2.2", send: sized(4000), want: way(routedWay).and(func(w *want) { w.payload = 4000 })},
				{from: "a", to: "2001:db8:2::2", send: sized(4000), want: way(routedWay).and(func(w *want) { w.payload = 4000 })},
			},
		},
		{
			name: "fragment-lost", what: "an echo of which a later fragment dies in a queue",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2"); w.throttle("r", "vb", 100_000/8, 1600, 1600) },
			pings: []traffic{{
				from: "a", to: "198.18.2.2", n: 3, send: sized(4000),
				want: want{outcome: "dropped", drop: "[r] " + queueDrop()},
			}},
		},
		{
			name: "constant-payload", what: "two runs of pings that all have the same payload, as blackbox_exporter's",
			setup: func(w *world) { w.pair(); w.warm("a", "192.0.2.2") },
			pings: []traffic{{from: "a", to: "192.0.2.2", send: rawPing{payload: constant, answers: pingsEach}.send, want: way(pairWay)}},
			run:   (*course).twice,
		},
		{
			name: "constant-payload-side-by-side", what: "two pings at a time with the same payload and identifier, to two addresses",
			setup: func(w *world) {
				w.must(sideBySideHere(), "two senders at a time")
				w.bridged()
				w.addr("b", "eth0", "192.0.2.3/24")
				w.warm("a", "192.0.2.2", "192.0.2.3")
			},
			pings: []traffic{
				{from: "a", to: "192.0.2.2", send: rawPing{payload: constant, answers: pingsEach}.send, want: way(bridgeWay)},
				{from: "a", to: "192.0.2.3", send: rawPing{payload: constant, answers: pingsEach}.send, want: way(bridgeWay)},
			},
			run: (*course).sideBySide,
		},
		{
			name: "neighbour", what: "nobody has the address, which a router finds out only later",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2") },
			pings: []traffic{{
				from: "a", to: "198.18.2.77",
				want: want{outcome: "dropped", drop: "[r] NEIGH_FAILED"},
			}},
		},
		{
			name: "ttl", what: "the time to live runs out in a router, as for traceroute",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2", "2001:db8:2::2") },
			pings: []traffic{
				{
					from: "a", to: "198.18.2.2", send: rawPing{ttl: 1, wait: shortWait}.send,
					want: want{outcome: "expired", event: "icmp.error 198.18.1.1 11/0"},
				},
				{
					from: "a", to: "2001:db8:2::2", n: 1, send: rawPing{ttl: 1, wait: shortWait}.send,
					want: want{outcome: "expired", event: "icmp.error 2001:db8:1::1 3/0"},
				},
			},
		},
		{
			name: "unreachable", what: "a router says that it has no way there, and is not traced itself",
			setup: func(w *world) {
				w.routed()
				w.warm("a", "198.18.2.2")
				w.routeAdd("r", &netlink.Route{Dst: ipNet(prefixOf("203.0.113.0/24")), Type: unix.RTN_UNREACHABLE})
			},
			own: func(w *world, o *agent.Options) { o.Scope.NetNS = []string{w.at("a").Name()} },
			pings: []traffic{{
				from: "a", to: "203.0.113.8", n: 1, send: rawPing{wait: shortWait}.send,
				want: want{outcome: "unreachable", event: "icmp.error 198.18.1.1 3/1"},
			}},
		},
		{
			name: "too-big", what: "an echo that is too big for the next link and may not be divided",
			setup: func(w *world) {
				w.routed()
				w.warm("a", "198.18.2.2")
				w.must(w.at("r").nl.LinkSetMTU(w.dev("r", "vb"), 1000), "MTU")
			},
			pings: []traffic{{
				from: "a", to: "198.18.2.2", n: 1,
				send: rawPing{wait: shortWait, payload: func(int) []byte { return clock(1300) }}.send,
				want: want{outcome: "dropped", drop: "[r] PKT_TOO_BIG", event: "icmp.error 198.18.1.1 3/4"},
			}},
		},
		{
			name: "multicast", what: "a ping that two hosts answer, by multicast",
			setup: func(w *world) { w.crowd() },
			pings: []traffic{{
				from: "a", to: "224.0.0.1", n: 2, send: rawPing{device: "eth0", anybody: true, answers: 4}.send,
				want: want{answers: 4, never: []string{"stacked", "forward"}},
			}},
		},
		{
			name: "broadcast", what: "a ping that two hosts answer, by broadcast",
			setup: func(w *world) { w.crowd() },
			pings: []traffic{{
				from: "a", to: "192.0.2.255", n: 2, send: rawPing{anybody: true, answers: 4}.send,
				want: want{answers: 4, never: []string{"stacked", "forward"}},
			}},
		},
	}
}

// queueDrop is the reason that the kernel gives for a drop by a queueing discipline. Before
// Linux 6.2 there is none for what is dropped as part of a list, and which it is depends
// on the moment.
func queueDrop() string {
	if kernelSince("6.2") {
		return "QDISC_DROP"
	}
	return "…"
}

// crowd makes a, b and c on a bridge, of which b and c answer everybody.
func (w *world) crowd() {
	w.bridged()
	w.ns("c")
	w.veth("c", "eth0", "hv", "vc")
	w.enslave("hv", "br0", "vc")
	w.addr("c", "eth0", "192.0.2.3/24")
	w.sysctl("b", "ipv4/icmp_echo_ignore_broadcasts", "0")
	w.sysctl("c", "ipv4/icmp_echo_ignore_broadcasts", "0")
	w.warm("a", "192.0.2.2", "192.0.2.3")
}

// twice runs the road two times, each with an agent of its own, and demands that no trace
// ID comes up again.
func (c *course) twice() {
	ids := map[string]bool{}
	id := uint16(c.ids.Add(1))
	var faults []string
	for range 2 {
		c.sent = nil
		t, err := startTracing(c.dir, agent.Options{Timeout: traceTimeout()})
		if err != nil {
			c.err = err
			return
		}
		c.driveAs(func() uint16 { return id }) // the second run's pings are those of the first
		t.await(c.expected(), traceTimeout()+patience)
		c.conclude(t, func() ([]*tree, error) {
			all, err := t.stop()
			for _, tr := range all {
				if ids[tr.id] {
					tr.fault("its ID", tr.id, "was that of another ping")
				}
				ids[tr.id] = true
			}
			return all, err
		})
		if c.err != nil {
			return
		}
		faults = append(faults, c.judge.faults...)
	}
	c.judge.faults = faults
}

// sideBySideHere is an error in an emulated machine: there, two senders take turns that are
// longer than a ping is kept open for what comes late.
func sideBySideHere() error {
	if testing.Short() {
		return unix.EOPNOTSUPP
	}
	return nil
}

// sideBySide sends the road's pings at the same time and with the same identifier.
func (c *course) sideBySide() {
	t, err := startTracing(c.dir, agent.Options{Timeout: traceTimeout(), Hypervisors: []uint32{c.w.at("hv").Inode()}})
	if err != nil {
		c.err = err
		return
	}
	id := uint16(c.ids.Add(1))
	var wg sync.WaitGroup
	for _, p := range c.pings {
		s := &sent{traffic: p, id: id, at: time.Now()}
		c.sent = append(c.sent, s)
		wg.Go(func() { s.answers, s.err = p.send(c.w, c.w.at(p.from), netip.MustParseAddr(p.to), id, p.count()) })
	}
	wg.Wait()
	t.await(c.expected(), traceTimeout()+patience)
	c.conclude(t, t.stop)
}
