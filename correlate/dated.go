// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"encoding/binary"
	"math/bits"
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
	n := min(int(payloadLen), len(payload))
	if n < 8 {
		return 0, false
	}
	// Read little-endian; the other order is these reversed.
	a, b := binary.LittleEndian.Uint64(payload[:8]), binary.LittleEndian.Uint64(payload[8:])
	if t, ok := clockOf(a, b, uint32(a), uint32(a>>32), n, at); ok {
		return t, true
	}
	a, b = bits.ReverseBytes64(a), bits.ReverseBytes64(b)
	return clockOf(a, b, uint32(a>>32), uint32(a), n, at)
}

// clockOf reads the time in one order of bytes: a and b are the payload's words of 64 bits, c and d the
// first two of 32 bits, n how many bytes there are.
func clockOf(a, b uint64, c, d uint32, n int, at int64) (int64, bool) {
	if n >= 16 {
		if t, ok := ofTimeval(a, b); ok && near(t, at) { // struct timeval of a 64-bit host
			return t, true
		}
	}
	if t, ok := ofTimeval(uint64(c), uint64(d)); ok && near(t, at) { // of a 32-bit host
		return t, true
	}
	if t := int64(a); t >= 0 && near(t, at) { // nanoseconds, as Go's tools send them
		return t, true
	}
	return 0, false
}

func ofTimeval(sec, usec uint64) (int64, bool) {
	if sec > 1<<33 || usec >= 1e6 {
		return 0, false
	}
	return int64(sec)*1e9 + int64(usec)*1e3, true
}

func near(t, at int64) bool {
	return t > at-int64(maxSkew) && t < at+int64(maxSkew)
}
