// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twoHosts is the smallest topology:
//
//	a: a0 192.0.2.1/24 2001:db8::1/64 --- b0 192.0.2.2/24 2001:db8::2/64 :b
func twoHosts(t testing.TB) (a, b *namespace) {
	t.Helper()
	return twoHostsCalled(t, "a", "b")
}

// twoHostsCalled is twoHosts with other names.
func twoHostsCalled(t testing.TB, nameA, nameB string) (a, b *namespace) {
	t.Helper()
	privileged(t)
	a, b = newNamespace(t, nameA), newNamespace(t, nameB)
	pair(a, "a0", b, "b0")
	a.address("a0", "192.0.2.1/24")
	b.address("b0", "192.0.2.2/24")
	a.address("a0", "2001:db8::1/64")
	b.address("b0", "2001:db8::2/64")
	a.neighbour("a0", "192.0.2.2", b, "b0")
	b.neighbour("b0", "192.0.2.1", a, "a0")
	a.neighbour("a0", "2001:db8::2", b, "b0")
	b.neighbour("b0", "2001:db8::1", a, "a0")
	ready(a, b)
	return a, b
}

// vethPing is a ping over twoHosts from a raw socket. The kernel gives the socket
// a clone of the reply and then drops the original, for which it found no
// datagram socket.
const vethPing = `a a0 net_dev_queue request
a a0 net_dev_start_xmit request
b b0 netif_rx request
a a0 net_dev_xmit request
b b0 netif_receive_skb request
b b0 net_dev_queue reply
b b0 net_dev_start_xmit reply
a a0 netif_rx reply
b b0 net_dev_xmit reply
a a0 netif_receive_skb reply
a a0 kfree_skb reply
a a0 skb_copy_datagram_iovec reply
`

func TestVethPair(t *testing.T) {
	for _, tt := range []struct {
		name string
		to   string
		v6   bool
	}{{"IPv4", "192.0.2.2", false}, {"IPv6", "2001:db8::2", true}} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			r := record(t, Options{}, a, b)
			a.pinger(tt.v6).ping(tt.to, 7, []byte("0123456789abcdefghij"))
			events := r.until(delivered(1))
			if diff := cmp.Diff(vethPing, r.list(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
