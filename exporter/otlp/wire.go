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

// reserved is how many bytes openMessage leaves for the length: enough for 16 KiB,
// which spans rarely reach.
const reserved = 2

// openMessage begins a message of unknown length. closeMessage needs start.
func openMessage(b []byte, field protowire.Number) (out []byte, start int) {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = append(b, 0, 0)
	return b, len(b)
}

// closeMessage writes the length of the message that begins at start, and moves the
// message if its length takes more or less room than was left.
func closeMessage(b []byte, start int) []byte {
	n := len(b) - start
	size := protowire.SizeVarint(uint64(n))
	switch {
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
	return appendString(b, field, s)
}

// appendString is appendText for a field that is written even if it is empty.
func appendString(b []byte, field protowire.Number, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

func appendFixed64(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, v)
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
	b, kv := openMessage(b, field)
	b = appendText(b, keyValueKey, key)
	b, v := openMessage(b, keyValueValue)
	b = appendString(b, anyValueString, value)
	return closeMessage(closeMessage(b, v), kv)
}

// appendIntAttribute appends a KeyValue with an integer as an element of a field.
// Its lengths are known beforehand: every span has one.
func appendIntAttribute(b []byte, field protowire.Number, key string, value int64) []byte {
	inner := 1 + protowire.SizeVarint(uint64(value))
	size := protowire.SizeTag(keyValueKey) + protowire.SizeBytes(len(key)) + protowire.SizeTag(keyValueValue) + protowire.SizeBytes(inner)
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, keyValueKey, protowire.BytesType)
	b = protowire.AppendString(b, key)
	b = protowire.AppendTag(b, keyValueValue, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = protowire.AppendTag(b, anyValueInt, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(value))
}

// intAttribute is an attribute of which only the number is still to be written, that is 0: lengths
// and the number have a byte each.
type intAttribute []byte

func newIntAttribute(field protowire.Number, key string) intAttribute {
	return appendIntAttribute(nil, field, key, 0)
}

// append appends the attribute with a value, as appendIntAttribute does.
func (a intAttribute) append(b []byte, value int64) []byte {
	const outer, inner = 1, 3 // from the beginning, and from the end, is a length
	start := len(b)
	b = append(b, a...)
	more := byte(protowire.SizeVarint(uint64(value)) - 1)
	b[start+outer] += more
	b[len(b)-inner] += more
	return protowire.AppendVarint(b[:len(b)-1], uint64(value))
}
