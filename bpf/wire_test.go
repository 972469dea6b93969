// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// frameSender sends frames as they are.
type frameSender struct {
	n  *namespace
	fd int
	to unix.SockaddrLinklayer
}

func (n *namespace) frameSender(device string) *frameSender {
	n.t.Helper()
	s := &frameSender{n: n, to: unix.SockaddrLinklayer{Ifindex: int(n.index(device))}}
	n.do(func() {
		var err error
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		n.must("open packet socket", err)
	})
	n.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

func (s *frameSender) send(frame []byte) {
	s.n.t.Helper()
	s.n.must("send frame", unix.Sendto(s.fd, frame, 0, &s.to))
}

// Wherever a frame is seen between the socket that sends it and where nobody takes it, the
// same is said of the echo in it: where the network stack has its headers differs from hook to
// hook, and with tags, labels and PPPoE.
func TestFramesOnAWire(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	sender := a.frameSender("a0")
	hooks := []event.Hook{event.NetDevQueue, event.NetDevStartXmit, event.NetifRx, event.NetDevXmit, event.NetifReceiveSKB, event.KfreeSKB}
	rapid.Check(t, func(t *rapid.T) {
		c := echo(t)
		// Nothing that Linux answers or puts together.
		c.encapsulateIn("ip", "gre", "gretap", "vxlan", "geneve", "srv6")
		c.frame()
		if len(c.bytes) > 1500 {
			t.Skip("too long")
		}
		r.events = nil
		sender.send(c.bytes)
		events := r.until(seen(event.KfreeSKB, 1))
		for i, e := range events {
			if i >= len(hooks) || e.Hook != hooks[i] {
				t.Fatalf("event %d of %d is %s", i, len(events), e.Hook)
			}
			want := c.want
			want.Flags |= e.Flags &^ event.IPv6 // what is said of the device
			want.Time, want.SKB, want.NetNS, want.IfIndex, want.Peer = e.Time, e.SKB, e.NetNS, e.IfIndex, e.Peer
			want.Code, want.Hook, want.CPU = e.Code, e.Hook, e.CPU
			if e != want {
				t.Fatalf("%s:\n got %+v\nwant %+v\nin % x", e.Hook, e, want, c.bytes)
			}
		}
	})
}
