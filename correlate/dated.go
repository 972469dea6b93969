// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"encoding/binary"
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
)

// maxSkew is how far the clock of a ping's sender may be off from ours.
const maxSkew = 24 * time.Hour

// Dated reports whether an echo's payload, of which payloadLen bytes were sent, carries the
// time at which it was sent, within a day of at. Only such a payload distinguishes a ping
// from all others, of whichever process and hour: many tools send the same bytes each
// time (blackbox_exporter, fping, hping, ping on Windows).
//
// Known are the formats of iputils (struct timeval with 64 or 32 bits a word), and
// nanoseconds in 64 bits, as tools written in Go send them, each in either order of
// bytes.
func Dated(payload [event.PayloadPrefix]byte, payloadLen uint16, at time.Time) bool {
	_, ok := clockIn(payload, payloadLen, at.UnixNano())
	return ok
}

// sentAt returns the time that is in an echo's payload, in nanoseconds since the Unix
// epoch, if it is within a day of at.
func sentAt(ev *event.Event, at int64) (int64, bool) {
	return clockIn(ev.Payload, ev.PayloadLen, at)
}

func clockIn(payload [event.PayloadPrefix]byte, payloadLen uint16, at int64) (int64, bool) {
	p := payload[:min(int(payloadLen), len(payload))]
	for _, order := range [...]binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, read := range [...]func([]byte, binary.ByteOrder) (int64, bool){timeval64, timeval32, nanoseconds} {
			if t, ok := read(p, order); ok && near(t, at) {
				return t, true
			}
		}
	}
	return 0, false
}

// timeval64 reads a struct timeval of a 64-bit host.
func timeval64(p []byte, order binary.ByteOrder) (int64, bool) {
	if len(p) < 16 {
		return 0, false
	}
	return ofTimeval(order.Uint64(p), order.Uint64(p[8:]))
}

// timeval32 reads a struct timeval of a 32-bit host.
func timeval32(p []byte, order binary.ByteOrder) (int64, bool) {
	if len(p) < 8 {
		return 0, false
	}
	return ofTimeval(uint64(order.Uint32(p)), uint64(order.Uint32(p[4:])))
}

func ofTimeval(sec, usec uint64) (int64, bool) {
	if sec > 1<<33 || usec >= 1e6 {
		return 0, false
	}
	return int64(sec)*1e9 + int64(usec)*1e3, true
}

// nanoseconds reads nanoseconds since the Unix epoch, as Go's tools send them.
func nanoseconds(p []byte, order binary.ByteOrder) (int64, bool) {
	if len(p) < 8 || order.Uint64(p) > 1<<63-1 {
		return 0, false
	}
	return int64(order.Uint64(p)), true
}

func near(t, at int64) bool {
	return t > at-int64(maxSkew) && t < at+int64(maxSkew)
}
