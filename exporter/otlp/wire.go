// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The functions of this file append to protobuf messages in wire format
// (https://protobuf.dev/programming-guides/encoding/): fields in order of their
// numbers, zero values left out, lengths as short as they can be. That is how the
// protobuf library writes them, too.

// tag returns the tag of a field whose number is less than 16.
func tag(field protowire.Number, t protowire.Type) byte { return byte(field)<<3 | byte(t) }

// appendLength appends the length of a field, which mostly takes a byte.
func appendLength(b []byte, n int) []byte {
	if n < 1<<7 {
		return append(b, byte(n))
	}
	return protowire.AppendVarint(b, uint64(n))
}

// appendBytes appends a field, even if it is empty.
func appendBytes[T string | []byte](b []byte, field protowire.Number, v T) []byte {
	b = appendLength(append(b, tag(field, protowire.BytesType)), len(v))
	return append(b, v...)
}

// reserved is how many bytes openMessage leaves for the length: enough for 16 KiB,
// which spans rarely reach.
const reserved = 2

// openMessage begins a message of unknown length. closeMessage needs start.
func openMessage(b []byte, field protowire.Number) (out []byte, start int) {
	b = append(b, tag(field, protowire.BytesType), 0, 0)
	return b, len(b)
}

// closeMessage writes the length of the message that begins at start, and moves the
// message if its length takes more or less room than was left.
func closeMessage(b []byte, start int) []byte {
	n := len(b) - start
	switch size := protowire.SizeVarint(uint64(n)); {
	case size < reserved:
		copy(b[start-1:], b[start:])
		b = b[:len(b)-1]
	case size > reserved:
		var zeros [binary.MaxVarintLen64]byte
		b = append(b, zeros[:size-reserved]...)
		copy(b[start+size-reserved:], b[start:start+n])
	}
	binary.PutUvarint(b[start-reserved:], uint64(n))
	return b
}

// appendText appends a string field, unless it is empty. What is not UTF-8, as the
// name of a device may be, is replaced: a receiver would refuse the whole request.
func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytes(b, field, valid(s))
}

// valid returns s, with what is not UTF-8 in it replaced.
func valid(s string) string {
	if !utf8.ValidString(s) {
		return strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	return s
}

func appendFixed64(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(append(b, tag(field, protowire.Fixed64Type)), v)
}

// The fields of opentelemetry/proto/common/v1/common.proto that attributes need.
const (
	keyValueKey    = 1
	keyValueValue  = 2
	anyValueString = 1
	anyValueInt    = 3
)

// appendStringAttribute appends a KeyValue with a string as an element of a field.
func appendStringAttribute(b []byte, field protowire.Number, key, value string) []byte {
	value = valid(value)
	b = appendKey(b, field, key, protowire.SizeTag(anyValueString)+protowire.SizeBytes(len(value)))
	return appendBytes(b, anyValueString, value)
}

// appendIntAttribute appends a KeyValue with an integer as an element of a field.
func appendIntAttribute(b []byte, field protowire.Number, key string, value int64) []byte {
	b = appendKey(b, field, key, protowire.SizeTag(anyValueInt)+protowire.SizeVarint(uint64(value)))
	return protowire.AppendVarint(append(b, tag(anyValueInt, protowire.VarintType)), uint64(value))
}

// appendKey appends the beginning of a KeyValue, up to the value of so many bytes.
func appendKey(b []byte, field protowire.Number, key string, value int) []byte {
	key = valid(key)
	size := protowire.SizeTag(keyValueValue) + protowire.SizeBytes(value)
	if key != "" {
		size += protowire.SizeTag(keyValueKey) + protowire.SizeBytes(len(key))
	}
	b = appendLength(append(b, tag(field, protowire.BytesType)), size)
	if key != "" {
		b = appendBytes(b, keyValueKey, key)
	}
	return appendLength(append(b, tag(keyValueValue, protowire.BytesType)), value)
}

// intAttribute is an attribute of a span of which only the number is still to be written. By the
// length of the number, it has the encoded attribute with zeros in its place.
type intAttribute [binary.MaxVarintLen64 + 1][]byte

func newIntAttribute(key string) (a intAttribute) {
	for n := 1; n < len(a); n++ {
		a[n] = appendIntAttribute(nil, spanAttributes, key, int64(1)<<(7*n-7))
		clear(a[n][len(a[n])-n:])
	}
	return a
}

// size returns the length of what append appends.
func (a *intAttribute) size(value int64) int { return len(a[protowire.SizeVarint(uint64(value))]) }

// append appends the attribute with a value, as appendIntAttribute does.
func (a *intAttribute) append(b []byte, value int64) []byte {
	v := uint64(value)
	n := protowire.SizeVarint(v)
	b = append(b, a[n]...)
	number := b[len(b)-n:]
	last := len(number) - 1
	for i := range number[:last] {
		number[i] = byte(v) | 0x80
		v >>= 7
	}
	number[last] = byte(v)
	return b
}
