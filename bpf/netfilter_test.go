// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// enter is what AttachNetfilter asks for.
func (n *namespace) enter(f func() error) (err error) {
	n.do(func() { err = f() })
	return err
}

// netfilter attaches to the hooks of namespaces. A kernel that is too old ends the test.
func (r *recorder) netfilter(in ...*namespace) {
	r.t.Helper()
	for _, n := range in {
		privilegetest.Kernel(r.t, r.tracer.AttachNetfilter(n.enter))
	}
}

// hooks writes an event a line, and for netfilter's the hook.
func (r *recorder) hooks(events []event.Event) (s string) {
	for i := range events {
		e := &events[i]
		s += r.line(e)
		if e.Hook.Info().Class == event.NetfilterProgram {
			s += " " + event.NetfilterHook(e.Code).String()
		}
		s += "\n"
	}
	return s
}

// routed is a router between two hosts:
//
//	a: a0 192.0.2.1/24 2001:db8:a::1/64       --- r0 192.0.2.254/24 2001:db8:a::fe/64    :r
//	b: b0 198.51.100.1/24 2001:db8:b::1/64    --- r1 198.51.100.254/24 2001:db8:b::fe/64 :r
func routed(t testing.TB) (a, r, b *namespace) {
	t.Helper()
	privileged(t)
	a, r, b = newNamespace(t, "a"), newNamespace(t, "r"), newNamespace(t, "b")
	join := func(host *namespace, dev, port string, addrs, gateways [2]string) {
		pair(host, dev, r, port)
		for i, length := range []int{24, 64} {
			host.address(dev, fmt.Sprintf("%s/%d", addrs[i], length))
			r.address(port, fmt.Sprintf("%s/%d", gateways[i], length))
			host.neighbour(dev, gateways[i], r, port)
			r.neighbour(port, addrs[i], host, dev)
			host.route([]string{"0.0.0.0/0", "::/0"}[i], gateways[i])
		}
	}
	join(a, "a0", "r0", [2]string{"192.0.2.1", "2001:db8:a::1"}, [2]string{"192.0.2.254", "2001:db8:a::fe"})
	join(b, "b0", "r1", [2]string{"198.51.100.1", "2001:db8:b::1"}, [2]string{"198.51.100.254", "2001:db8:b::fe"})
	r.sysctl("net/ipv4/ip_forward", "1")
	r.sysctl("net/ipv6/conf/all/forwarding", "1")
	ready(a, r, b)
	return a, r, b
}

// forwarded is a ping from a to b, seen in the router and its netfilter hooks.
const forwarded = `r r0 netif_rx request
r r0 netif_receive_skb request
r r0 netfilter_first request prerouting
r r0 netfilter_last request prerouting
r r0 netfilter_first request forward
r r0 netfilter_last request forward
r r1 netfilter_first request postrouting
r r1 netfilter_last request postrouting
r r1 net_dev_queue request
r r1 net_dev_start_xmit request
r r1 net_dev_xmit request
r r1 netif_rx reply
r r1 netif_receive_skb reply
r r1 netfilter_first reply prerouting
r r1 netfilter_last reply prerouting
r r1 netfilter_first reply forward
r r1 netfilter_last reply forward
r r0 netfilter_first reply postrouting
r r0 netfilter_last reply postrouting
r r0 net_dev_queue reply
r r0 net_dev_start_xmit reply
r r0 net_dev_xmit reply
`

func TestNetfilterForward(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		v6       bool
	}{{"IPv4", "198.51.100.1", false}, {"IPv6", "2001:db8:b::1", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a, router, _ := routed(t)
			r := record(t, Options{}, router)
			r.netfilter(router)
			a.pinger(tt.v6).ping(tt.to, 7, []byte("0123456789abcdefghij"))
			events := r.until(seen(event.NetDevXmit, 2))
			if diff := cmp.Diff(forwarded, r.hooks(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			r.sound()
		})
	}
}

// answered is a ping from a to b, seen in b, which takes the request and makes the reply.
const answered = `b b0 netif_rx request
b b0 netif_receive_skb request
b b0 netfilter_first request prerouting
b b0 netfilter_last request prerouting
b b0 netfilter_first request input
b b0 netfilter_last request input
b b0 netfilter_first reply output
b b0 netfilter_last reply output
b b0 netfilter_first reply postrouting
b b0 netfilter_last reply postrouting
b b0 net_dev_queue reply
b b0 net_dev_start_xmit reply
b b0 net_dev_xmit reply
`

func TestNetfilterLocal(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		v6       bool
	}{{"IPv4", "192.0.2.2", false}, {"IPv6", "2001:db8::2", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			r := record(t, Options{}, b)
			r.netfilter(b)
			a.pinger(tt.v6).ping(tt.to, 7, []byte("0123456789abcdefghij"))
			events := r.until(seen(event.NetDevXmit, 1))
			if diff := cmp.Diff(answered, r.hooks(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			r.sound()
		})
	}
}

// TestNetfilterNAT: what conntrack and the nat chains rewrite, they rewrite between
// the first and the last event of a hook.
func TestNetfilterNAT(t *testing.T) {
	a, router, _ := routed(t)
	router.chain(nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, &expr.Masq{})
	r := record(t, Options{}, router)
	r.netfilter(router)
	a.pinger(false).ping("198.51.100.1", 1, []byte("behind a masquerade"))
	type rewrite struct{ What, Src, Dst string }
	var got []rewrite
	for _, e := range r.until(seen(event.NetDevXmit, 2)) {
		if e.Hook.Info().Class == event.NetfilterProgram {
			got = append(got, rewrite{
				fmt.Sprintf("%s %s %s", e.Hook, e.Type, event.NetfilterHook(e.Code)),
				e.Src.Addr().String(), e.Dst.Addr().String(),
			})
		}
	}
	const inner, outer, peer = "192.0.2.1", "198.51.100.254", "198.51.100.1"
	want := []rewrite{
		{"netfilter_first request prerouting", inner, peer},
		{"netfilter_last request prerouting", inner, peer},
		{"netfilter_first request forward", inner, peer},
		{"netfilter_last request forward", inner, peer},
		{"netfilter_first request postrouting", inner, peer},
		{"netfilter_last request postrouting", outer, peer},
		{"netfilter_first reply prerouting", peer, outer},
		{"netfilter_last reply prerouting", peer, inner},
		{"netfilter_first reply forward", peer, inner},
		{"netfilter_last reply forward", peer, inner},
		{"netfilter_first reply postrouting", peer, inner},
		{"netfilter_last reply postrouting", peer, inner},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestNetfilterDrop: a chain's verdict stands, and ends the hook without a last event.
func TestNetfilterDrop(t *testing.T) {
	a, router, _ := routed(t)
	router.chain(nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter,
		&expr.Verdict{Kind: expr.VerdictDrop})
	r := record(t, Options{}, router)
	r.netfilter(router)
	a.pinger(false).send("198.51.100.1", 1, []byte("dropped"))
	want := `r r0 netif_rx request
r r0 netif_receive_skb request
r r0 netfilter_first request prerouting
r r0 netfilter_last request prerouting
r r0 netfilter_first request forward
r r0 kfree_skb request
`
	events := r.until(seen(event.KfreeSKB, 1))
	if diff := cmp.Diff(want, r.hooks(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := r.reasons.Name(events[len(events)-1].Code); got != "NETFILTER_DROP" {
		t.Errorf("reason %s", got)
	}
}

func TestNetfilterFilter(t *testing.T) {
	a, router, _ := routed(t)
	r := record(t, Options{}, router)
	r.netfilter(router)
	if err := r.tracer.SetFilter(Filter{Interfaces: []string{"r1"}}); err != nil {
		t.Fatal(err)
	}
	a.pinger(false).ping("198.51.100.1", 1, []byte("on one side"))
	var want string
	for line := range strings.Lines(forwarded) {
		if strings.HasPrefix(line, "r r1 ") {
			want += line
		}
	}
	events := r.until(func(events []event.Event) bool {
		return count(events, func(e *event.Event) bool {
			return e.Hook == event.NetfilterLast && e.Code == uint32(event.NetfilterForward)
		}) > 0
	})
	if diff := cmp.Diff(want, r.hooks(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
