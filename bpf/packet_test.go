// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

func TestPayload(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	for _, n := range []int{0, 1, 3, 7, 8, 9, 15, 16, 17, 1000} {
		payload := bytes.Repeat([]byte{0xa5}, n)
		for _, v6 := range []bool{false, true} {
			r.events = nil
			a.pinger(v6).ping(map[bool]string{false: "192.0.2.2", true: "2001:db8::2"}[v6], n, payload)
			for _, e := range r.until(delivered(1)) {
				var want [event.PayloadPrefix]byte
				copy(want[:], payload)
				if e.Payload != want || int(e.PayloadLen) != n || int(e.Seq) != n || e.ID != 0x1234 {
					t.Errorf("payload of %d bytes: %+v", n, e)
				}
			}
		}
	}
}

func TestIPv4Options(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	// Three times no operation, end of list (RFC 791, 3.1).
	p := a.pinger(false)
	p.setsockopt(unix.IPPROTO_IP, unix.IP_OPTIONS, "\x01\x01\x01\x00")
	p.ping("192.0.2.2", 9, []byte("after the options"))
	events := r.until(delivered(1))
	if diff := cmp.Diff(vethPing, r.list(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range events {
		if string(e.Payload[:]) != "after the option" || e.PayloadLen != 17 || e.Seq != 9 {
			t.Errorf("%+v", e)
		}
	}
}

func TestIPv6ExtensionHeaders(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	p := a.pinger(true)
	// Each eight bytes of padding (RFC 8200, 4.2).
	p.setsockopt(unix.IPPROTO_IPV6, unix.IPV6_HOPOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00")
	p.setsockopt(unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00")
	p.ping("2001:db8::2", 9, []byte("after the options"))
	events := r.until(delivered(1))
	if diff := cmp.Diff(vethPing, r.list(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range events {
		if string(e.Payload[:]) != "after the option" || e.PayloadLen != 17 || e.Seq != 9 {
			t.Errorf("%+v", e)
		}
	}
}

func TestFragments(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		v6       bool
		first    uint16 // payload in the first fragment: 1500 less the headers
	}{
		{"IPv4", "192.0.2.2", false, 1500 - 20 - 8},
		{"IPv6", "2001:db8::2", true, 1500 - 40 - 8 - 4 - 8}, // and down to a multiple of 8
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			r := record(t, Options{}, a, b)
			a.pinger(tt.v6).ping(tt.to, 5, bytes.Repeat([]byte("fragment"), 500))
			events := r.until(delivered(1))
			if diff := cmp.Diff(vethPing, r.list(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			for _, e := range events {
				want := tt.first
				if e.Hook == event.SKBCopyDatagramIovec || e.Hook == event.KfreeSKB {
					want = 4000 // put together again
				}
				if string(e.Payload[:]) != "fragmentfragment" || e.PayloadLen != want || e.Flags.Has(event.FirstFragment) != (want < 4000) {
					t.Errorf("%s: flags %b, %d bytes, want %d: %q", r.line(&e), e.Flags, e.PayloadLen, want, e.Payload)
				}
			}
		})
	}
}
