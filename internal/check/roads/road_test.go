// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/internal/agent"
)

// road is one way that a packet can take, and what is right about its traces.
type road struct {
	name string
	// what says in a line, for the page, what a ping passes.
	what string
	// needs names the kernel modules without which there is no such road, those apart that
	// every road needs (veth, bridge). The emulated machine loads them.
	needs []string
	// setup builds the road and lets a first ping through, so that neighbours are known.
	setup func(*world)
	pings []traffic
	// own, if set, has the road traced by an agent of its own, with these options; the
	// others share one.
	own func(*world, *agent.Options)
	// run, if set, replaces the whole course of the road by one of its own.
	run func(*course)
}

// traffic is some pings along a road, one after the other.
type traffic struct {
	// from and to are the namespace that pings and the address that it pings; src is the
	// address it is seen to ping from, if that is worth a check.
	from, to, src string
	// n is how many pings; 0 means pingsEach.
	n int
	// send sends them; nil means as iputils' ping does.
	send sender
	want want
}

// pingsEach is how many pings are sent by default.
const pingsEach = 5

func (p traffic) count() int {
	if p.n == 0 {
		return pingsEach
	}
	return p.n
}

// want is what is right about each of some pings.
type want struct {
	// outcome is dwell.outcome; "" means complete.
	outcome string
	// cause is dwell.incomplete.
	cause string
	// request and reply are the ways, as path writes them; "…" stands for anything, and ""
	// is not checked.
	request, reply string
	// extra is the way of each further reply.
	extra []string
	// between is the span between the journeys: "beyond c0 -> c1".
	between string
	// never is how the names of spans begin that there must not be.
	never []string
	// drop is where the packet died and of what: "[r] QDISC_DROP", or "[r] …" where the
	// kernel's reason is not always the same.
	drop string
	// event is a span event that there must be: "icmp.error 198.18.1.1 11/0".
	event string
	// answers is how many replies the sender gets to all pings together; -1 means that
	// nobody counts. The default is one a ping if complete, else none.
	answers int
	// payload is the payload's size, if it is to be checked.
	payload int
	// tunnel is the outermost tunnel's type and number where there is one: "vxlan 7".
	tunnel string
}

// died reports whether a drop is the one that there must be.
func (e *want) died(drop string) bool {
	place, whatever := strings.CutSuffix(e.drop, "…")
	return drop == e.drop || whatever && strings.HasPrefix(drop, place)
}

// way is right about pings whose reply takes the same way back. In it, {1} and {2} are a and
// b for the request, b and a for the reply.
func way(path string) want {
	return want{
		request: strings.NewReplacer("{1}", "a", "{2}", "b").Replace(path),
		reply:   strings.NewReplacer("{1}", "b", "{2}", "a").Replace(path),
	}
}

// The ways through the networks that many roads are variants of.
const (
	pairWay   = "[{1}] transmit {1}0 | link {1}0 -> {2}0 [{2}] deliver"
	bridgeWay = "[{1}] transmit eth0 | link eth0 -> v{1} [hv] bridge br0 | queue v{2} | link v{2} -> eth0 [{2}] deliver"
	routedWay = "[{1}] transmit eth0 | link eth0 -> v{1} [r] forward | queue v{2} | link v{2} -> eth0 [{2}] deliver"
	// tunnelWay is that through the device tun0, over routed.
	tunnelWay = "[{1}] transmit tun0 | encapsulate tun0 -> eth0 | transmit eth0 | link eth0 -> v{1} [r] forward | queue v{2} | " +
		"link v{2} -> eth0 [{2}] decapsulate eth0 -> tun0 | deliver"
	// nestedWay is that through tun1 in tun0.
	nestedWay = "[{1}] transmit tun1 | encapsulate tun1 -> tun0 | transmit tun0 | encapsulate tun0 -> eth0 | transmit eth0 | " +
		"link eth0 -> v{1} [r] forward | queue v{2} | link v{2} -> eth0 [{2}] decapsulate eth0 -> tun0 | decapsulate tun0 -> tun1 | deliver"
	// redirectWay is that through patched, by a redirect.
	redirectWay = "[{1}] transmit eth0 | link eth0 -> v{1} [hv] redirect v{1} -> v{2} | queue v{2} | link v{2} -> eth0 [{2}] deliver"
)

// and returns what is right with a change.
func (e want) and(change func(*want)) want {
	change(&e)
	return e
}

func (e want) outcomeName() string {
	if e.outcome == "" {
		return "complete"
	}
	return e.outcome
}

// sender sends n echoes with an identifier from a namespace and returns the number of
// replies. Sequence numbers are 1 to n.
type sender func(w *world, from *space, to netip.Addr, id uint16, n int) (answers int, err error)

// roads returns the table.
func roads() []road {
	var all []road
	for _, family := range [][]road{
		basicRoads(), tapRoads(), stackedRoads(), tunnelRoads(), layer3TunnelRoads(), encryptedRoads(),
		redirectRoads(), copyRoads(), packetRoads(), scopeRoads(),
	} {
		all = append(all, family...)
	}
	return all
}
