// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

var update = flag.Bool("update", false, "write the golden traces anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// render draws a trace: each span below its parent, with times relative to the root.
func render(t *trace.Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s%s id=%s local=%v duplicates=%d\n",
		t.Ping, t.Outcome, t.Cause, t.DropReason, t.ID, t.Local, t.Duplicates)
	for i := range t.Spans {
		s := &t.Spans[i]
		indent := strings.Repeat("  ", int(s.Depth))
		fmt.Fprintf(&b, "%s%s (%s) %d..%d", indent, s.Name(), s.NetNS.Name,
			s.Start-t.Root().Start, s.End-t.Root().Start)
		if s.Error != "" {
			fmt.Fprintf(&b, " error=%s", s.Error)
		}
		b.WriteByte('\n')
		for _, e := range s.Events {
			fmt.Fprintf(&b, "%s  * %s", indent, e.Name)
			for _, a := range e.Attrs {
				fmt.Fprintf(&b, " %s=%q", a.Key, a.Value())
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// scenario is something that happens on the simulated host.
type scenario struct {
	name string
	what func(*sim)
}

// golden lists what happens on the simulated host and the traces that it must give,
// in testdata/<name>.golden.
var golden = []scenario{
	{"bridge", func(s *sim) { s.ping(17) }},
	{"ping-socket", func(s *sim) {
		p := s.request(1)
		src, id := p.src, p.id
		p.toOutside()
		r := p.reply()
		r.toGuest(src, id)
		r.at(brovsnsNS, event.SKBCopyDatagramIovec)
	}},
	{"dropped-in-hypervisor", func(s *sim) {
		p := s.request(2)
		p.cross(brovsnsNS, brovsnsBR)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.event(ovsBR, event.KfreeSKB, 8)
	}},
	{"dropped-in-queue", func(s *sim) {
		p := s.request(3)
		p.cross(brovsnsNS, brovsnsBR)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.at(ens3, event.NetDevQueue)
		p.event(ens3, event.KfreeSKB, 2)
	}},
	{"dropped-in-bridge", func(s *sim) {
		p := s.request(20)
		p.cross(brovsnsNS, brovsnsBR)
		p.event(ovsBR, event.KfreeSKB, 8)
	}},
	{"reply-dropped-in-bridge", func(s *sim) {
		p := s.request(21)
		p.toOutside()
		r := p.reply()
		r.cross(outside0, ens3)
		r.dst, r.id = guestAddr, 77
		r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		r.event(ovsBR, event.KfreeSKB, 8)
		r.at(ovsBR, event.NetDevXmit)
	}},
	{"dropped-where-made", func(s *sim) { s.request(22).event(dev{ns: guest}, event.KfreeSKB, 8) }},
	{"reply-dropped-where-made", func(s *sim) {
		p := s.request(23)
		p.toOutside()
		p.reply().event(dev{ns: outside}, event.KfreeSKB, 8)
	}},
	{"lost-reply", func(s *sim) { s.request(4).toOutside() }},
	{"reply-only", func(s *sim) {
		r := s.request(5).reply()
		r.toGuest(guestAddr, 77)
		r.deliver(brovsnsNS)
	}},
	{"started-in-mid-journey", func(s *sim) {
		s.ping(6)
		s.events = s.events[7:]
	}},
	{"undelivered", func(s *sim) {
		p := s.request(14)
		p.toOutside()
		r := p.reply()
		r.toGuest(guestAddr, 77)
		r.event(brovsnsNS, event.KfreeSKB, 3)
	}},
	{"flooded-by-bridge", flooded},
	{"mirrored-reply", func(s *sim) {
		p := s.request(15)
		p.toOutside()
		r := p.reply()
		r.cross(outside0, ens3)
		r.dst, r.id = guestAddr, 77
		r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		c := r.copy()
		r.cross(brovsnsBR, brovsnsNS)
		r.deliver(brovsnsNS)
		c.skb += 0x30
		c.cross(brovsnsBR, brovsnsNS)
		c.deliver(brovsnsNS)
	}},
	{"duplicate-reply", func(s *sim) {
		p := s.request(8)
		src, id := p.src, p.id
		p.toOutside()
		r := p.reply()
		r.toGuest(src, id)
		r.deliver(brovsnsNS)
		d := p.reply()
		d.skb += 0x1000
		d.toGuest(src, id)
		d.deliver(brovsnsNS)
	}},
	{"beyond-the-nic", func(s *sim) {
		p := s.request(9)
		p.cross(brovsnsNS, brovsnsBR)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.nat()
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		s.now += 1_000_000
		r := p.reply()
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.dst, r.id = guestAddr, 77
		r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		r.cross(brovsnsBR, brovsnsNS)
		r.at(ovsBR, event.NetDevXmit)
		r.deliver(brovsnsNS)
	}},
	{"through-a-transit-host", func(s *sim) {
		p := s.request(10)
		tap := dev{ns: hypervisor, index: 9, name: "tap0"}
		p.at(tap, event.NetifRx, event.NetifReceiveSKB)
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.at(tap, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	}},
	{"answered-by-a-process", func(s *sim) {
		p := s.request(11)
		src, id := p.src, p.id
		p.toOutside()
		p.copy().at(outside0, event.SKBCopyDatagramIovec)
		r := p.reply()
		r.toGuest(src, id)
		r.deliver(brovsnsNS)
	}},
	{"vxlan", vxlan},
	{"netfilter", func(s *sim) {
		p := s.request(16)
		p.output(brovsnsNS)
		p.cross(brovsnsNS, brovsnsBR)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.chains(ovsBR, event.NetfilterPreRouting, event.NetfilterForward)
		p.nf(ens3, event.NetfilterFirst, event.NetfilterPostRouting)
		p.nat()
		p.nf(ens3, event.NetfilterLast, event.NetfilterPostRouting)
		p.cross(ens3, outside0)
		p.chains(outside0, event.NetfilterPreRouting, event.NetfilterLocalIn)
		r := p.reply()
		r.output(outside0)
		r.cross(outside0, ens3)
		r.nf(ens3, event.NetfilterFirst, event.NetfilterPreRouting)
		r.dst, r.id = guestAddr, 77
		r.nf(ens3, event.NetfilterLast, event.NetfilterPreRouting)
		r.nf(ens3, event.NetfilterFirst, event.NetfilterForward)
		r.event(ens3, event.KfreeSKB, 8)
	}},
	{"same-payload-everywhere", func(s *sim) {
		p := s.request(12)
		p.payload, p.length = [16]byte{}, 0
		src, id := p.src, p.id
		p.toOutside()
		r := p.reply()
		r.toGuest(src, id)
		r.deliver(brovsnsNS)
	}},
}

// flooded: the bridge does not know the next hop and sends the request to all ports;
// the tenant's stack throws its copy away.
func flooded(s *sim) {
	p := s.request(7)
	p.cross(brovsnsNS, brovsnsBR)
	c := p.copy()
	c.cross(tenantBR, tenantNS)
	c.event(tenantNS, event.KfreeSKB, 12)
	p.at(ovsBR, event.NetifReceiveSKB)
	p.nat()
	p.cross(ens3, outside0)
	r := p.reply()
	r.toGuest(guestAddr, 77)
	r.deliver(brovsnsNS)
}

// vxlan: from the guest over a tunnel on brovsns-ns to the hypervisor, which answers.
func vxlan(s *sim) {
	vx1, vx2 := dev{ns: guest, index: 7, name: "vxlan0"}, dev{ns: hypervisor, index: 7, name: "vxlan0"}
	tunnel := &event.Tunnel{Src: event.AddressFrom(guestAddr), Dst: event.AddressFrom(natAddr), ID: 42, Type: event.VXLAN}
	oneWay := func(p *packet, a, aUnder, b, bUnder dev) {
		p.at(a, event.NetDevQueue, event.NetDevStartXmit)
		p.outer = tunnel
		p.cross(aUnder, bUnder)
		p.outer = nil
		p.at(a, event.NetDevXmit)
		p.received = false
		p.at(b, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	}
	p := s.request(13)
	oneWay(p, vx1, brovsnsNS, vx2, brovsnsBR)
	r := p.reply()
	oneWay(r, vx2, brovsnsBR, vx1, brovsnsNS)
	r.deliver(vx1)
}

func TestGoldenTraces(t *testing.T) {
	for _, g := range slices.Concat(golden, roads, copies, guests, judgings, fastPaths) {
		t.Run(g.name, func(t *testing.T) {
			s := newSim()
			g.what(s)
			traces, _ := run(s.events, correlate.Options{Start: s.events[0].Time})
			var b strings.Builder
			for _, tr := range traces {
				b.WriteString(render(tr))
			}
			file := filepath.Join("testdata", g.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
