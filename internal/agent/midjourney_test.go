// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// gate holds packets back where the next hop's hardware address is not known, and lets
// them through when it is told.
type gate struct {
	*place
	device string
	addr   netip.Addr
	hw     net.HardwareAddr
	asked  chan netlink.NeighUpdate
	done   chan struct{}
}

// closed makes a gate: the device forgets its next hop, and the kernel asks no longer
// the network for it but us.
func closed(here *place, device string, addr netip.Addr, next *place, nextDevice string, self netip.Addr) *gate {
	here.t.Helper()
	g := &gate{
		place: here, device: device, addr: addr, hw: next.hardware(nextDevice),
		asked: make(chan netlink.NeighUpdate), done: make(chan struct{}),
	}
	next.neighbour(nextDevice, self, here.hardware(device)) // whose questions would be answers
	here.sysctl("ipv4/neigh/"+device+"/app_solicit", "1000")
	here.forget(device)
	here.must(here.Do(func() error { return netlink.NeighSubscribe(g.asked, g.done) }))
	return g
}

// held waits until a packet is held back: the kernel has asked for the next hop.
func (g *gate) held() {
	g.t.Helper()
	index, found := g.index(g.device), false
	for u := range g.asked {
		if !found && u.Type == unix.RTM_GETNEIGH && u.LinkIndex == index && u.IP.Equal(g.addr.AsSlice()) {
			found = true
			close(g.done) // the library then closes asked
		}
	}
	if !found {
		g.t.Fatalf("nothing is held back at %s", g.device)
	}
}

// open lets through what is held back.
func (g *gate) open() { g.t.Helper(); g.neighbour(g.device, g.addr, g.hw) }

// nat is the hypervisor, as the outside sees it.
var nat = netip.MustParseAddr("192.168.122.208")

// gates are where a ping is stopped on its way, and what of it is seen from there on and
// until then.
var gates = []struct {
	name string
	gate func(t *testing.T, l *lab.Lab) *gate
	// before and after list the leaves that the agent sees if it is stopped while
	// the packet is held, or started.
	before, after string
}{
	{
		name: "request in the hypervisor",
		gate: func(t *testing.T, l *lab.Lab) *gate {
			return closed(at(t, l, lab.Hypervisor), "ens3", gateway, at(t, l, lab.Outside), "outside0", nat)
		},
		before: "transmit brovsns-ns, link brovsns-ns -> brovsns-br, softirq wait, stack",
		after: "transmit ens3, link ens3 -> outside0, softirq wait, stack, " +
			"transmit outside0, link outside0 -> ens3, softirq wait, stack, queue ovs-br, " +
			"bridge ovs-br, queue brovsns-br, link brovsns-br -> brovsns-ns, softirq wait, stack",
	},
	{
		name: "reply outside",
		gate: func(t *testing.T, l *lab.Lab) *gate {
			return closed(at(t, l, lab.Outside), "outside0", nat, at(t, l, lab.Hypervisor), "ens3", gateway)
		},
		before: "transmit brovsns-ns, link brovsns-ns -> brovsns-br, softirq wait, stack, " +
			"forward, queue ens3, link ens3 -> outside0, softirq wait",
		after: "transmit outside0, link outside0 -> ens3, softirq wait, stack, queue ovs-br, " +
			"bridge ovs-br, queue brovsns-br, link brovsns-br -> brovsns-ns, softirq wait, stack",
	},
	{
		name: "reply in the hypervisor",
		gate: func(t *testing.T, l *lab.Lab) *gate {
			guest, router := netip.MustParseAddr("192.168.0.10"), netip.MustParseAddr("192.168.0.1")
			return closed(at(t, l, lab.Hypervisor), "ovs-br", guest, at(t, l, lab.Guest), "brovsns-ns", router)
		},
		before: "transmit brovsns-ns, link brovsns-ns -> brovsns-br, softirq wait, stack, " +
			"forward, queue ens3, link ens3 -> outside0, softirq wait, stack, " +
			"transmit outside0, link outside0 -> ens3, softirq wait",
		after: "transmit ovs-br, bridge ovs-br, queue brovsns-br, link brovsns-br -> brovsns-ns, softirq wait, stack",
	},
}

func TestStartedInMidJourney(t *testing.T) {
	for _, g := range gates {
		t.Run(g.name, func(t *testing.T) {
			l := up(t, "bridge")
			gate := g.gate(t, l)
			var pings sync.WaitGroup
			pings.Go(func() { pingOnce(t, l) })
			gate.held()
			roots, sum := exported(t, []*lab.Lab{l}, agent.Options{}, func() {
				gate.open()
				pings.Wait()
			})
			checkPart(t, roots, sum, trace.CauseAgentStarted, g.after)
		})
	}
}

func TestStoppedInMidJourney(t *testing.T) {
	for _, g := range gates {
		t.Run(g.name, func(t *testing.T) {
			l := up(t, "bridge")
			gate := g.gate(t, l)
			var pings sync.WaitGroup
			roots, sum := exported(t, []*lab.Lab{l}, agent.Options{}, func() {
				pings.Go(func() { pingOnce(t, l) })
				gate.held()
			})
			gate.open()
			pings.Wait()
			checkPart(t, roots, sum, trace.CauseAgentStopped, g.before)
		})
	}
}

func pingOnce(t *testing.T, l *lab.Lab) {
	if r := ping(t, l, pinger.Config{Count: 1}); r.Lost() > 0 {
		t.Error("no reply")
	}
}

// checkPart holds the trace of a ping of which only a part was seen against what it must
// say: why, and nothing about the rest.
func checkPart(t *testing.T, roots []*node, sum agent.Summary, cause trace.Cause, want string) {
	t.Helper()
	if len(roots) != 1 || sum.Incomplete[cause] != 1 {
		t.Fatalf("%s\n%v", sum, roots)
	}
	root := roots[0]
	checkTiling(t, root)
	if got := root.attr(trace.AttrIncomplete); got != string(cause) {
		t.Errorf("%s is %q", trace.AttrIncomplete, got)
	}
	var got []string
	for _, n := range root.leaves() {
		got = append(got, n.Name())
	}
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Errorf("%s in\n%s", diff, root)
	}
}
