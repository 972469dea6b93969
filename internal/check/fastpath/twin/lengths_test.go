// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/binary"
	"testing"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// What a header says of lengths is held against what there is, even where nobody verifies a checksum, because nobody tracks
// connections.
func TestLengthsThatAreNotThere(t *testing.T) {
	for _, c := range []struct {
		name   string
		family int
		// less is how much shorter it is than others, so that it is not too long for the flow.
		less   int
		change func(packet []byte)
	}{
		{"truncated", 0, 8, func(b []byte) {
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)+1))
			binary.BigEndian.PutUint16(b[24:], uint16(len(b)+1-20))
		}},
		{"truncated6", 1, 8, func(b []byte) {
			binary.BigEndian.PutUint16(b[4:], uint16(len(b)+1-40))
			binary.BigEndian.PutUint16(b[44:], uint16(len(b)+1-40))
		}},
		{"options", 0, 0, func(b []byte) { b[0] = 4<<4 | 6 }}, // of which the ports are
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLone(t, "routed")
			l.forget()
			f := l.outward(frame.UDP, c.family)
			if !l.becomesFast(f) {
				t.Fatalf("it is not fast: %v", l.last())
			}
			steps := l.said(f, 0, nil)
			bytes := steps[0].Frame.Bytes[:len(steps[0].Frame.Bytes)-c.less]
			steps[0].Frame.Bytes = bytes
			b := bytes[14:]
			c.change(b)
			if c.family == 0 { // the sum of the header as it would be without options
				b[10], b[11] = 0, 0
				binary.BigEndian.PutUint16(b[10:], frame.Checksum(b[:20], 0))
			}
			if fast := l.more(steps); fast != 0 {
				t.Error("it was fast")
			}
			if fast := l.next(f); fast != 2 {
				t.Errorf("then %d of 2 packets were fast: %v", fast, l.last())
			}
		})
	}
}

// A packet that is longer than all that the kernel let pass is not fast, even if everything else is right.
func TestLongerIsNotFast(t *testing.T) {
	l := newLone(t, "routed")
	l.forget()
	f := l.outward(frame.UDP, 0)
	if !l.becomesFast(f) {
		t.Fatalf("it is not fast: %v", l.last())
	}
	longer := l.said(f, 0, func(p *packet) { p.Payload = frame.Datagram(p.from.sport, p.from.dport, make([]byte, 65)) })
	for i, want := range []uint64{0, 1} { // the kernel has let the first one pass
		if err := l.d.programs.Beat(); err != nil {
			t.Fatal(err)
		}
		if fast := l.more(longer); fast != want {
			t.Errorf("%d: %d were fast, want %d", i, fast, want)
		}
	}
}
