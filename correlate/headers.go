// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strconv"

	"github.com/dwelltrace/dwell/correlate/event"
)

// headers is what NAT may change in an echo.
type headers struct {
	src, dst event.Address
	id       uint16
}

func headersOf(ev *event.Event) headers { return headers{ev.Src, ev.Dst, ev.ID} }

// String returns "192.0.2.1 -> 198.51.100.1 id 7".
func (h headers) String() string {
	b := h.src.Addr().AppendTo(make([]byte, 0, 64))
	b = append(b, " -> "...)
	b = h.dst.Addr().AppendTo(b)
	b = append(b, " id "...)
	return string(strconv.AppendUint(b, uint64(h.id), 10))
}

// headerTexts remembers headers as text: those of one program's pings are the same again and again.
type headerTexts [256]struct {
	headers headers
	text    string
}

// slot returns where in headerTexts the headers are. The golden ratio, by which 2^32 is divided,
// spreads what is alike.
func (h headers) slot() uint8 {
	return uint8((uint32(h.id)<<16 | uint32(h.src[15])<<8 | uint32(h.dst[15])) * 2654435769 >> 24)
}

// text returns h.String().
func (t *headerTexts) text(h headers) string {
	known := &t[h.slot()]
	if known.headers != h || known.text == "" {
		known.headers, known.text = h, h.String()
	}
	return known.text
}
