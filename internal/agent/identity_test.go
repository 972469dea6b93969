// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// neighbourRole is what the second guest's namespace is called.
const neighbourRole = "neighbour"

// secondGuest adds a guest to a bridge lab: 192.168.0.11 on the same bridge, behind the
// same NAT.
func secondGuest(t *testing.T, l *lab.Lab) *place {
	t.Helper()
	name := prefix(l) + neighbourRole
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { ns.Close() })
	guest, host := inside(t, ns), at(t, l, lab.Hypervisor)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "brovsns-nb"
	host.must(host.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "nb", PeerNamespace: netlink.NsFd(ns.FD())}))
	host.must(host.nl.LinkSetMaster(host.link("brovsns-nb"), host.link("ovs-br")))
	host.must(host.nl.LinkSetUp(host.link("brovsns-nb")))
	addr, err := netlink.ParseAddr("192.168.0.11/24")
	guest.must(err)
	guest.must(guest.nl.AddrAdd(guest.link("nb"), addr))
	guest.must(guest.nl.LinkSetUp(guest.link("nb")))
	router := netip.MustParseAddr("192.168.0.1")
	guest.must(guest.nl.RouteAdd(&netlink.Route{Gw: router.AsSlice()}))
	guest.neighbour("nb", router, host.hardware("ovs-br"))
	host.neighbour("ovs-br", netip.MustParseAddr("192.168.0.11"), guest.hardware("nb"))
	guest.awaitUp("nb")
	host.awaitUp("brovsns-nb")
	return guest
}

// Two guests ping the same target through the same NAT at the same time, with the same
// identifier and sequence numbers, and what is in the packets is the same, too.
func TestTwoGuestsAlike(t *testing.T) {
	for _, tc := range []struct {
		name    string
		payload func(i int) []byte
		local   bool
	}{
		{"empty", func(int) []byte { return nil }, true},
		{"pattern", func(int) []byte { return bytes.Repeat([]byte{0xff}, 56) }, true},
		{"same clock", func(i int) []byte { return fmt.Appendf(nil, "the same clock: %09d and what follows", i) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const count = 50
			l := up(t, "bridge")
			second := secondGuest(t, l)
			guests := map[string]*place{"192.168.0.10": at(t, l, lab.Guest), "192.168.0.11": second}
			conns := map[string]*icmp.PacketConn{}
			for addr, g := range guests {
				// One after the other, so that the NAT has an entry for each: of two
				// requests at once that are alike it may drop one.
				conns[addr] = g.listen()
				g.pingAlike(conns[addr], 1, l.Target(false), tc.payload)
			}
			opts := agent.Options{}
			opts.Filter.NetNS = []uint32{second.Inode()}
			roots, sum := exported(t, []*lab.Lab{l}, opts, func() {
				var both sync.WaitGroup
				for addr, g := range guests {
					both.Go(func() { g.pingAlike(conns[addr], count, l.Target(false), tc.payload) })
				}
				both.Wait()
			})
			if sum.Complete != 2*count || len(roots) != 2*count || sum.Lost() != 0 {
				t.Fatal(sum)
			}
			seen := map[string]int{}
			for _, r := range roots {
				checkComplete(t, r)
				checkGuest(t, r)
				seen[r.attr(trace.AttrSourceAddress)+" seq "+r.attr(trace.AttrICMPSeq)]++
			}
			for addr := range guests {
				for i := range count {
					if n := seen[fmt.Sprintf("%s seq %d", addr, i+1)]; n != 1 {
						t.Errorf("%s seq %d has %d traces", addr, i+1, n)
					}
				}
			}
			if tc.local {
				for _, r := range roots {
					if got := r.attr(trace.AttrIdentity); got != "local" {
						t.Fatalf("identity %q", got)
					}
				}
			}
		})
	}
}

// pingAlike sends requests one after the other, each when the reply to the one before
// has come.
func (p *place) pingAlike(conn *icmp.PacketConn, count int, target netip.Addr, payload func(int) []byte) {
	const id = 4711
	buf := make([]byte, 1500)
	for i := range count {
		if err := p.write(conn, echo{target: target, id: id, seq: i + 1, payload: payload(i)}); err != nil {
			p.t.Error(err)
			return
		}
		if err := conn.SetReadDeadline(time.Now().Add(unhurried)); err != nil {
			p.t.Error(err)
			return
		}
		if _, _, err := conn.ReadFrom(buf); err != nil {
			p.t.Errorf("seq %d: %v", i+1, err)
			return
		}
	}
}

// checkGuest holds the places and addresses of a trace against its sender.
func checkGuest(t *testing.T, root *node) {
	t.Helper()
	source, device, role := root.attr(trace.AttrSourceAddress), "brovsns-ns", lab.Guest
	if source == "192.168.0.11" {
		device, role = "nb", neighbourRole
	}
	var got, places []string
	for _, n := range root.all() {
		if n.service == lab.Guest || n.service == neighbourRole {
			places = append(places, n.service)
		}
		if n.service == lab.Outside && (n.attr(trace.AttrSourceAddress) != nat.String() && n.attr(trace.AttrDestinationAddr) != nat.String()) {
			t.Errorf("%s sees %s -> %s", n.Name(), n.attr(trace.AttrSourceAddress), n.attr(trace.AttrDestinationAddr))
		}
		for _, e := range n.events(trace.EventNAT) {
			got = append(got, addresses(text(e.Attributes(), trace.AttrNATBefore))+" => "+addresses(text(e.Attributes(), trace.AttrNATAfter)))
		}
	}
	want := []string{
		source + " -> 203.0.113.8 => " + nat.String() + " -> 203.0.113.8",
		"203.0.113.8 -> " + nat.String() + " => 203.0.113.8 -> " + source,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("NAT of %s: %s", root.Name(), diff)
	}
	first, last := root.leaves()[0], root.leaves()[len(root.leaves())-1]
	if first.attr(trace.AttrNetworkInterface) != device || last.attr(trace.AttrNetworkInterface) != device {
		t.Errorf("%s begins on %s and ends on %s", root.Name(), first.attr(trace.AttrNetworkInterface), last.attr(trace.AttrNetworkInterface))
	}
	for _, p := range places {
		if p != role {
			t.Errorf("%s: a span of %s", root.Name(), p)
		}
	}
}

// addresses cuts the identifier off, which NAT may rewrite or not.
func addresses(s string) string {
	s, _, _ = strings.Cut(s, " id ")
	return s
}
