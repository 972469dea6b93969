// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
)

// A packet goes its way while the filter is changed: behind the NAT it is known only by
// having passed before. The same echo, sent once under each filter, stands for it.
func TestFilterChangedOnTheWay(t *testing.T) {
	a, h, b := behindNAT(t)
	r := record(t, Options{}, a, h, b)
	over := watch(t, a)
	p := a.pinger(false)
	source, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("203.0.113.0/24")
	before := Filter{NetNS: []uint32{a.inode}, Addresses: []netip.Prefix{source}}
	behind := []string{"b b0"}
	for i, tt := range []struct {
		name  string
		after Filter
		want  []string
	}{
		{"another namespace", Filter{NetNS: []uint32{b.inode}, Addresses: before.Addresses}, behind},
		{"a namespace more", Filter{NetNS: []uint32{a.inode, b.inode}, Addresses: before.Addresses}, []string{"a a0", "b b0", "a -"}},
		{"an address more", Filter{NetNS: []uint32{b.inode}, Addresses: []netip.Prefix{source, other}}, behind},
		{"an interface", Filter{NetNS: []uint32{b.inode}, Interfaces: []string{"b0"}, Addresses: before.Addresses}, behind},
		{"other addresses", Filter{NetNS: []uint32{b.inode}, Addresses: []netip.Prefix{other}}, nil},
		{"no namespace", Filter{NetNS: []uint32{0}, Addresses: before.Addresses}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.events = nil
			seq, payload := 2*i, []byte("which way, please?")
			for _, f := range []Filter{before, tt.after} {
				if err := r.tracer.SetFilter(f); err != nil {
					t.Fatal(err)
				}
				r.drain()
				r.events = nil
				p.ping("198.51.100.1", seq, payload)
				over()
			}
			// Open to everything, a second ping says that the first is over.
			if err := r.tracer.SetFilter(Filter{}); err != nil {
				t.Fatal(err)
			}
			p.ping("198.51.100.1", seq+1, payload)
			events := r.until(func(events []event.Event) bool {
				return slices.ContainsFunc(events, func(e event.Event) bool {
					return e.Hook == event.SKBCopyDatagramIovec && int(e.Seq) == seq+1
				})
			})
			over()
			events = slices.DeleteFunc(events, func(e event.Event) bool { return int(e.Seq) != seq })
			if diff := cmp.Diff(tt.want, r.places(events)); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		})
	}
	r.sound()
}

// Filters follow each other while packets are on their way. Each of them chooses all that
// happens in b, so that nothing of it may be left out, by whichever it is judged.
func TestFilterChangedUnderLoad(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, b)
	all := Filter{Addresses: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	filters := []Filter{{}, {NetNS: []uint32{b.inode}}, all}
	changed, done := make(chan struct{}, 1), make(chan struct{})
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; ; i++ {
			if err := r.tracer.SetFilter(filters[i%len(filters)]); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			case changed <- struct{}{}:
			}
		}
	})
	p, pings := a.pinger(false), 0
	for rounds := 0; rounds < 20; pings++ {
		p.ping("192.0.2.2", pings&0xffff, []byte("by whichever filter"))
		r.drain()
		select {
		case <-changed:
			rounds++
		default:
		}
	}
	close(done)
	changes.Wait()
	if want := 5 * pings; len(r.until(seen(event.NetDevXmit, pings))) != want {
		t.Errorf("%d events, want %d", len(r.events), want)
	}
}
