// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
)

// A device is traced that a pattern or an alternative name means, from when it appears. What
// matches nothing is in the status, and what such a scope leaves out is nobody's fault.
func TestInterfacesByPatternAndAltName(t *testing.T) {
	_, name := names(t, "ifglob")
	ns := create(t, name[0])
	p := inside(t, ns)
	const alt, never = "an-alternative-name-of-an-interface", "nobody*"
	scope := agent.Scope{
		NetNS: []string{name[0]}, Interfaces: []string{"glob*", alt, never}, Netfilter: []string{agent.NoNetfilter},
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}
	f := follow(t, agent.Options{Scope: scope})
	if s := f.Status(); !slices.Equal(s.Unresolved.Interfaces, []string{alt, "glob*", never}) || len(s.Unresolved.NetNS) > 0 {
		t.Errorf("unresolved %+v", s.Unresolved)
	}
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	p.must(err)
	p.must(p.nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other"}, PeerName: "end"}))
	for _, link := range []string{"other", "end"} {
		p.must(p.nl.LinkSetUp(p.link(link)))
	}
	p.must(p.nl.AddrAdd(p.link("other"), addr))
	target := netip.MustParseAddr("192.0.2.77") // nobody: the other end does not take it
	p.neighbour("other", target, []byte{2, 0, 0, 0, 0, 1})
	send := func(seq int) { p.must(p.send(echo{target: target, id: 1, seq: seq, payload: clockPayload(56)})) }
	send(1)
	p.must(p.nl.LinkAddAltName(p.link("other"), alt))
	f.until("the alternative name", func(s agent.Status) bool { return !slices.Contains(s.Unresolved.Interfaces, alt) })
	send(2)
	p.must(p.nl.LinkDelAltName(p.link("other"), alt))
	f.until("no alternative name", func(s agent.Status) bool { return slices.Contains(s.Unresolved.Interfaces, alt) })
	send(3)
	p.rename("other", "glob7")
	p.neighbour("glob7", target, []byte{2, 0, 0, 0, 0, 1}) // which it forgets where it had to be down
	f.until("the pattern", func(s agent.Status) bool { return slices.Equal(s.Unresolved.Interfaces, []string{alt, never}) })
	send(4)
	// A scope of all interfaces is whole: the same ping is now without a reply.
	scope.Interfaces = nil
	if err := f.SetScope(scope); err != nil {
		t.Fatal(err)
	}
	send(5)
	f.stop()
	var seen []uint16
	for _, tr := range f.traces {
		seen = append(seen, tr.Ping.Seq)
		if tr.Outcome == trace.Partial {
			t.Errorf("seq %d is partial although only its reply is missing", tr.Ping.Seq)
		}
	}
	slices.Sort(seen)
	if want := []uint16{2, 4, 5}; !slices.Equal(seen, want) {
		t.Errorf("seq %v were seen, want %v", seen, want)
	}
}
