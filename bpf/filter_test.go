// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/dwelltrace/dwell/correlate/event"
)

// behindNAT is two hosts with a router between them that hides the first:
//
//	a: a0 192.0.2.1/24 --- ra 192.0.2.254/24 :r: rb 198.51.100.254/24 --- b0 198.51.100.1/24 :b
func behindNAT(t *testing.T) (a, r, b *namespace) {
	t.Helper()
	privileged(t)
	a, r, b = newNamespace(t, "a"), newNamespace(t, "r"), newNamespace(t, "b")
	pair(a, "a0", r, "ra")
	pair(r, "rb", b, "b0")
	a.address("a0", "192.0.2.1/24")
	r.address("ra", "192.0.2.254/24")
	r.address("rb", "198.51.100.254/24")
	b.address("b0", "198.51.100.1/24")
	a.neighbour("a0", "192.0.2.254", r, "ra")
	r.neighbour("ra", "192.0.2.1", a, "a0")
	r.neighbour("rb", "198.51.100.1", b, "b0")
	b.neighbour("b0", "198.51.100.254", r, "rb")
	a.route("198.51.100.0/24", "192.0.2.254")
	r.sysctl("net/ipv4/ip_forward", "1")
	r.chain(nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, &expr.Masq{})
	ready(a, r, b)
	return a, r, b
}

// places lists the devices at which events happened, each once, in order.
func (r *recorder) places(events []event.Event) (places []string) {
	for i := range events {
		e := &events[i]
		device := "-"
		if e.Hook != event.SKBCopyDatagramIovec {
			device = r.names[e.NetNS].device(e.IfIndex)
		}
		if p := r.names[e.NetNS].name + " " + device; !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return places
}

func TestFilter(t *testing.T) {
	a, h, b := behindNAT(t)
	r := record(t, Options{}, a, h, b)
	over := watch(t, a)
	p := a.pinger(false)
	everywhere := []string{"a a0", "r ra", "r rb", "b b0", "a -"}
	prefixes := func(list ...string) (prefixes []netip.Prefix) {
		for _, s := range list {
			prefixes = append(prefixes, netip.MustParsePrefix(s))
		}
		return prefixes
	}
	for seq, tt := range []struct {
		name   string
		filter Filter
		want   []string
	}{
		{"none", Filter{}, everywhere},
		{"namespace", Filter{NetNS: []uint32{b.inode}}, []string{"b b0"}},
		{"two namespaces", Filter{NetNS: []uint32{a.inode, b.inode, b.inode}}, []string{"a a0", "b b0", "a -"}},
		{"unknown namespace", Filter{NetNS: []uint32{1}}, nil},
		{"interface, and delivery after it", Filter{Interfaces: []string{"rb"}}, []string{"r rb", "a -"}},
		{"unknown interface", Filter{Interfaces: []string{"rb0", "r"}}, nil},
		{"address before NAT", Filter{Addresses: prefixes("192.0.2.1/32")}, everywhere},
		{"address after NAT", Filter{Addresses: prefixes("198.51.100.254/32")}, []string{"r rb", "b b0", "r ra", "a a0", "a -"}},
		{"prefix", Filter{Addresses: prefixes("203.0.113.0/24", "192.0.0.0/8")}, everywhere},
		{"mapped prefix", Filter{Addresses: prefixes("::ffff:192.0.2.0/120")}, everywhere},
		{"other prefix", Filter{Addresses: prefixes("192.0.2.2/31")}, nil},
		{"all IPv6", Filter{Addresses: prefixes("::/0")}, nil},
		{"namespace and interface", Filter{NetNS: []uint32{h.inode}, Interfaces: []string{"ra", "b0"}}, []string{"r ra"}},
		{"interface and address", Filter{Interfaces: []string{"b0"}, Addresses: prefixes("192.0.2.1/32")}, nil},
		{"all", Filter{}, everywhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := r.tracer.SetFilter(tt.filter); err != nil {
				t.Fatal(err)
			}
			p.ping("198.51.100.1", seq, []byte("whom does it concern"))
			over()
			// With the filter open again, a second ping says that the first is over.
			if err := r.tracer.SetFilter(Filter{}); err != nil {
				t.Fatal(err)
			}
			p.ping("198.51.100.1", 1000+seq, []byte("whom does it concern"))
			events := r.until(func(events []event.Event) bool {
				last := func(e event.Event) bool { return e.Hook == event.SKBCopyDatagramIovec && int(e.Seq) == 1000+seq }
				return slices.ContainsFunc(events, last)
			})
			events = slices.DeleteFunc(events, func(e event.Event) bool { return int(e.Seq) != seq })
			if diff := cmp.Diff(tt.want, r.places(events)); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			over()
			r.drain()
			r.events = nil
		})
	}
	r.sound()
}

// TestFilterReplaced sets filters more often than there are generations.
func TestFilterReplaced(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, b)
	p := a.pinger(true)
	for i := range 3 * generations {
		ours, theirs := netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("2001:db8::3/128")
		prefix := ours
		if i%2 == 1 {
			prefix = theirs
		}
		if err := r.tracer.SetFilter(Filter{NetNS: []uint32{b.inode}, Addresses: []netip.Prefix{prefix}}); err != nil {
			t.Fatal(err)
		}
		// The same echo each time: that it was let pass once must not count.
		p.ping("2001:db8::2", 1, []byte("the same payload"))
	}
	events := r.until(seen(event.NetDevXmit, 3*generations/2))
	if want := 3 * generations / 2 * 5; len(events) != want {
		t.Errorf("%d events, want %d", len(events), want)
	}
}

func TestFilterInvalid(t *testing.T) {
	privileged(t)
	tracer, err := Load(Options{RingBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	for _, f := range []Filter{
		{Interfaces: []string{""}},
		{Interfaces: []string{"sixteen-letters-"}},
		{Addresses: []netip.Prefix{{}}},
		{NetNS: make([]uint32, maxFilterEntries+1)},
	} {
		if err := tracer.SetFilter(f); err == nil {
			t.Errorf("SetFilter(%.60v) did not fail", f)
		}
	}
	full := Filter{NetNS: make([]uint32, maxFilterEntries)}
	for i := range full.NetNS {
		full.NetNS[i] = uint32(i)
	}
	for range 3 {
		if err := tracer.SetFilter(full); err != nil {
			t.Error(err)
		}
	}
}

// A filter that is too large gives the same error whatever its size: a scope may grow by
// one namespace after the other, and each error with another text is another line in a log.
func TestFilterTooLarge(t *testing.T) {
	for want, filter := range map[string]func(n int) Filter{
		"more than 4096 network namespaces": func(n int) Filter { return Filter{NetNS: make([]uint32, n)} },
		"more than 4096 interfaces":         func(n int) Filter { return Filter{Interfaces: make([]string, n)} },
		"more than 4096 addresses":          func(n int) Filter { return Filter{Addresses: make([]netip.Prefix, n)} },
	} {
		for _, n := range []int{maxFilterEntries + 1, maxFilterEntries + 2} {
			if _, _, err := new(Tracer).filterEntries(filter(n), 0); err == nil || err.Error() != want {
				t.Errorf("with %d entries: %v, want %s", n, err, want)
			}
		}
	}
}
