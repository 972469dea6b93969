// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/echo"
)

// Mark is what a probe's payload has after the time: whoever captures the packet sees who sent
// it. A number that nobody can guess follows, by which a reply is known to be one.
const Mark = "dwell-probe "

// MinSize is the least size of a payload in bytes, a multiple of 8.
const MinSize = (echo.TimeSize + len(Mark) + nonceSize + 7) / 8 * 8

const nonceSize = 8

// payload makes the payload of a probe that is sent at some time.
func payload(size int, sent time.Time) []byte {
	p := echo.Payload(max(size, MinSize), sent)
	copy(p[echo.TimeSize:], Mark)
	binary.BigEndian.PutUint64(p[echo.TimeSize+len(Mark):], rand.Uint64())
	return p
}

// identify returns the ID of the trace of a probe.
func identify(key correlate.Key, seq uint16, payload []byte) trace.ID {
	if key == (correlate.Key{}) {
		key = correlate.DefaultKey
	}
	return correlate.Identify(key, seq, [event.PayloadPrefix]byte(payload))
}
