// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"encoding/binary"
	"time"
)

// timevalSize is sizeof(struct timeval) on 64-bit hosts.
const timevalSize = 16

// payload makes what iputils ping sends: every byte its own offset, and over the
// first 16 a struct timeval (seconds and microseconds, native byte order) of the
// time of sending, if there is room for one.
func payload(size int, sent time.Time) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i)
	}
	if size >= timevalSize {
		binary.NativeEndian.PutUint64(p, uint64(sent.Unix()))
		binary.NativeEndian.PutUint64(p[8:], uint64(sent.Nanosecond()/int(time.Microsecond)))
	}
	return p
}
