// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"encoding/binary"
	"time"
)

// TimeSize is sizeof(struct timeval) on 64-bit hosts, in bytes.
const TimeSize = 16

// MaxSize is the largest payload in bytes: what an IPv4 packet of 65,535 bytes
// holds after its own header and the 8 bytes of the echo's.
const MaxSize = 65535 - 20 - 8

// Payload makes what iputils ping sends: every byte its own offset, and over the
// first 16 a struct timeval (seconds and microseconds, native byte order) of the
// time of sending, if there is room for one.
func Payload(size int, sent time.Time) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i)
	}
	if size >= TimeSize {
		binary.NativeEndian.PutUint64(p, uint64(sent.Unix()))
		binary.NativeEndian.PutUint64(p[8:], uint64(sent.Nanosecond()/int(time.Microsecond)))
	}
	return p
}
