// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"encoding/binary"
	"iter"
)

// typeMask is without the bits that say how an attribute is written.
const typeMask = 0x3fff

// attributes returns attributes of netlink by type, in order. What is cut off is left out.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			n := int(binary.NativeEndian.Uint16(b))
			if n < 4 || n > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&typeMask, b[4:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// attribute returns the attribute at a path of types, or nil.
func attribute(b []byte, path ...uint16) []byte {
	for _, kind := range path {
		var inner []byte
		for k, data := range attributes(b) {
			if k == kind {
				inner = data
			}
		}
		b = inner
	}
	return b
}

// number32 reads a number of the host's byte order, 0 if it is not there.
func number32(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(b)))
}

// message is one of netlink.
type message struct {
	kind uint16
	// body is without the header.
	body []byte
}

// headerSize is that of struct nlmsghdr.
const headerSize = 16

// messages returns the messages of a datagram, and calls broken if the rest cannot be read.
func messages(datagram []byte, broken func()) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(datagram) > 0 {
			n := 0
			if len(datagram) >= headerSize {
				n = int(binary.NativeEndian.Uint32(datagram))
			}
			if n < headerSize || n > len(datagram) {
				broken()
				return
			}
			if !yield(message{binary.NativeEndian.Uint16(datagram[4:]), datagram[headerSize:n]}) {
				return
			}
			datagram = datagram[min((n+3)&^3, len(datagram)):]
		}
	}
}
