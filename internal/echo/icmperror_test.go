// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"pgregory.net/rapid"
)

const (
	quotedID  = 0xbeef
	quotedSeq = 9
)

// sentBy is a socket that has sent a request, and sent the request with its headers.
type sentBy struct {
	conn *Conn
	sent []byte
	// header is how long the headers before ICMP are.
	header int
	router net.Addr
}

// quotable makes requests of both kinds; the headers of some have more in them.
func quotable(more bool, payload []byte) []sentBy {
	message := func(typ icmp.Type) []byte {
		b, err := (&icmp.Message{Type: typ, Body: &icmp.Echo{ID: quotedID, Seq: quotedSeq, Data: payload}}).Marshal(nil)
		if err != nil {
			panic(err)
		}
		return b
	}
	four := sentBy{conn: &Conn{dst: &net.IPAddr{IP: net.IPv4(192, 0, 2, 1)}, id: quotedID, protocol: protocolICMP, request: ipv4.ICMPTypeEcho}, header: 20}
	four.router = &net.IPAddr{IP: net.IPv4(198, 51, 100, 1)}
	six := sentBy{conn: &Conn{dst: &net.IPAddr{IP: net.ParseIP("2001:db8::1")}, id: quotedID, protocol: protocolICMPv6, request: ipv6.ICMPTypeEchoRequest}, header: 40}
	six.router = &net.IPAddr{IP: net.ParseIP("2001:db8:1::1")}
	if more {
		four.header, six.header = 32, 48
	}
	h := make([]byte, four.header)
	h[0], h[9] = 4<<4|byte(four.header/4), protocolICMP
	copy(h[16:], four.conn.dst.IP.To4())
	binary.BigEndian.PutUint16(h[2:], uint16(four.header+8+len(payload)))
	four.sent = slices.Concat(h, message(ipv4.ICMPTypeEcho))
	h = make([]byte, six.header)
	h[0], h[6] = 6<<4, protocolICMPv6
	copy(h[24:], six.conn.dst.IP)
	if more {
		h[6], h[40], h[43] = nextFragment, protocolICMPv6, 1 // more fragments
	}
	binary.BigEndian.PutUint16(h[4:], uint16(six.header-40+8+len(payload)))
	six.sent = slices.Concat(h, message(ipv6.ICMPTypeEchoRequest))
	return []sentBy{four, six}
}

// errorAbout makes an error that quotes the first bytes of the request.
func (s sentBy) errorAbout(typ, code byte, quoted int) []byte {
	return append([]byte{typ, code, 0, 0, 0, 0, 0, 0}, s.sent[:min(quoted, len(s.sent))]...)
}

// kept reports whether the kernel's filter keeps a message.
func (s sentBy) kept(t interface{ Fatal(args ...any) }, message []byte) bool {
	vm, err := bpf.NewVM(filterProgram(s.conn.protocol, quotedID))
	if err != nil {
		t.Fatal(err)
	}
	if s.conn.protocol == protocolICMP {
		message = append(append([]byte{4<<4 | 6}, make([]byte, 23)...), message...)
	}
	n, err := vm.Run(message)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// told is what an error of a type and a code says; kind 0 is that it is none.
type told struct {
	typ, code byte
	kind      Kind
	text      string
}

func errorsOf(protocol int) []told {
	if protocol == protocolICMPv6 {
		return []told{
			{1, 0, Unreachable, "no route, says 2001:db8:1::1"},
			{1, 3, Unreachable, "address unreachable, says 2001:db8:1::1"},
			{2, 0, TooBig, "packet too big for an MTU of 1280 bytes, says 2001:db8:1::1"},
			{3, 0, TimeExceeded, "hop limit exceeded, says 2001:db8:1::1"},
			{4, 1, BadHeader, "header not understood, says 2001:db8:1::1"},
			{0, 0, 0, ""},
			{5, 0, 0, ""},
			{137, 0, 0, ""},
			{128, 0, 0, ""},
		}
	}
	return []told{
		{3, 0, Unreachable, "network unreachable, says 198.51.100.1"},
		{3, 1, Unreachable, "host unreachable, says 198.51.100.1"},
		{3, 13, Unreachable, "administratively prohibited, says 198.51.100.1"},
		{3, 99, Unreachable, "unreachable (code 99), says 198.51.100.1"},
		{3, 4, TooBig, "packet too big for an MTU of 1280 bytes, says 198.51.100.1"},
		{11, 0, TimeExceeded, "time to live exceeded, says 198.51.100.1"},
		{12, 0, BadHeader, "header not understood, says 198.51.100.1"},
		{5, 1, 0, ""},
		{4, 0, 0, ""},
		{8, 0, 0, ""},
		{0, 0, 0, ""},
	}
}

// Each kind of error is told from others, in words, with who sent it and the MTU.
func TestErrorsAreTold(t *testing.T) {
	for _, s := range quotable(false, []byte("payload")) {
		for _, tc := range errorsOf(s.conn.protocol) {
			message := s.errorAbout(tc.typ, tc.code, len(s.sent))
			if tc.kind == TooBig {
				binary.BigEndian.PutUint16(message[6:], 1280)
			}
			e, ok := s.conn.parseError(message, s.router)
			if ok != (tc.kind != 0) || s.kept(t, message) != ok {
				t.Errorf("type %d, code %d: parsed %v, kept %v", tc.typ, tc.code, ok, s.kept(t, message))
				continue
			}
			if ok && (e.Kind != tc.kind || e.Error() != tc.text || e.Seq != quotedSeq || string(e.Payload) != "payload" || !errors.Is(e, ErrOther)) {
				t.Errorf("type %d, code %d: %+v %q, want %q", tc.typ, tc.code, e, e, tc.text)
			}
		}
	}
}

// An error is this socket's if it quotes a request of its own, to its target, by its identifier.
func TestErrorsOfOthers(t *testing.T) {
	for _, s := range quotable(false, []byte("payload")) {
		typ := byte(3)
		if s.conn.protocol == protocolICMPv6 {
			typ = 1
		}
		id := 8 + s.header + echoID
		for name, tc := range map[string]struct {
			at       int
			as       byte
			filtered bool
		}{
			"another's identifier": {id, 1, true},
			"a reply":              {8 + s.header, 0, true},
			"another target":       {8 + s.header - 1, 77, false},
		} {
			message := s.errorAbout(typ, 1, len(s.sent))
			message[tc.at] = tc.as
			if e, ok := s.conn.parseError(message, s.router); ok || tc.filtered && s.kept(t, message) {
				t.Errorf("%s: taken as %v, kept %v", name, e, s.kept(t, message))
			}
		}
	}
	four := quotable(false, nil)[0]
	later := four.errorAbout(3, 1, len(four.sent))
	later[8+7] = 1 // not the first fragment
	if e, ok := four.conn.parseError(later, four.router); ok {
		t.Errorf("what is in a later fragment is taken for a header: %v", e)
	}
}

// However much of a request an error quotes, and whatever follows it, what is read is the
// beginning of the request; and the filter keeps what is taken, whatever the bytes are.
func TestQuotes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")
		s := rapid.SampledFrom(quotable(rapid.Bool().Draw(t, "more"), payload)).Draw(t, "request")
		types := []byte{3, 11, 12}
		if s.conn.protocol == protocolICMPv6 {
			types = []byte{1, 2, 3, 4}
		}
		quoted := rapid.IntRange(0, len(s.sent)).Draw(t, "quoted")
		message := s.errorAbout(rapid.SampledFrom(types).Draw(t, "type"), 0, quoted)
		if quoted == len(s.sent) {
			message = append(message, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "padding")...)
		}
		e, ok := s.conn.parseError(message, s.router)
		if whole := quoted >= s.header+8; ok != whole || s.kept(t, message) != ok && quoted >= s.header+6 != s.kept(t, message) {
			t.Fatalf("%d bytes quoted: taken %v, kept %v", quoted, ok, s.kept(t, message))
		}
		if ok && (e.Seq != quotedSeq || !bytes.HasPrefix(payload, e.Payload) || len(e.Payload) != min(quoted, len(s.sent))-s.header-8) {
			t.Fatalf("%d bytes quoted: %+v", quoted, e)
		}
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			message[rapid.IntRange(0, len(message)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		if e, ok := s.conn.parseError(message, s.router); ok && !s.kept(t, message) {
			t.Fatalf("the filter drops %+v, % x", e, message)
		}
	})
}

// An address of IPv4 is written as one.
func TestSenderIsWrittenShort(t *testing.T) {
	s := quotable(false, nil)[0]
	e, ok := s.conn.parseError(s.errorAbout(3, 1, len(s.sent)), s.router)
	if !ok || e.From != netip.MustParseAddr("198.51.100.1") || strings.Contains(e.Error(), "::ffff") {
		t.Errorf("%v %v", e, ok)
	}
}
