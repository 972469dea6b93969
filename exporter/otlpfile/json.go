// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// kind is how a field is written in JSON.
type kind uint8

const (
	unknown kind = iota
	text
	// hexID is an ID, written in hexadecimal.
	hexID
	number
	// long is a 64-bit integer, written as a string.
	long
	message
	messages
)

// field is one of a message: what it is called in JSON, how it is written and, if it is
// a message, what is in that.
type field struct {
	name   string
	kind   kind
	schema schema
}

// schema is the fields of a message, each at the index of its number.
type schema []field

// tracesData returns the schema of TracesData
// (opentelemetry/proto/{trace,common,resource}/v1): of those fields that dwell writes.
func tracesData() schema {
	value := schema{1: {"stringValue", text, nil}, 3: {"intValue", long, nil}}
	attribute := schema{1: {"key", text, nil}, 2: {"value", message, value}}
	event := schema{1: {"timeUnixNano", long, nil}, 2: {"name", text, nil}, 3: {"attributes", messages, attribute}}
	status := schema{2: {"message", text, nil}, 3: {"code", number, nil}}
	span := schema{
		1:  {"traceId", hexID, nil},
		2:  {"spanId", hexID, nil},
		3:  {"traceState", text, nil},
		4:  {"parentSpanId", hexID, nil},
		5:  {"name", text, nil},
		6:  {"kind", number, nil},
		7:  {"startTimeUnixNano", long, nil},
		8:  {"endTimeUnixNano", long, nil},
		9:  {"attributes", messages, attribute},
		11: {"events", messages, event},
		15: {"status", message, status},
		16: {"flags", number, nil},
	}
	scope := schema{1: {"name", text, nil}, 2: {"version", text, nil}}
	scopeSpans := schema{1: {"scope", message, scope}, 2: {"spans", messages, span}}
	resource := schema{1: {"attributes", messages, attribute}}
	resourceSpans := schema{1: {"resource", message, resource}, 2: {"scopeSpans", messages, scopeSpans}}
	return schema{1: {"resourceSpans", messages, resourceSpans}}
}

// appendJSON appends an encoded message as OTLP/JSON
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). The elements of a
// repeated field must stand together, as every encoder writes them.
func (s schema) appendJSON(b, encoded []byte) ([]byte, error) {
	b = append(b, '{')
	last := protowire.Number(0) // the repeated field whose list is open
	for first := true; len(encoded) > 0; first = false {
		n, wire, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		if int(n) >= len(s) || s[n].kind == unknown {
			return nil, fmt.Errorf("field %d of an OTLP message has no name in JSON", n)
		}
		f := &s[n]
		switch {
		case n == last:
			b = append(b, ',')
		default:
			b = f.open(closeList(b, last), first)
		}
		if last = 0; f.kind == messages {
			last = n
		}
		var err error
		if b, encoded, err = f.append(b, encoded[size:], wire); err != nil {
			return nil, err
		}
	}
	return append(closeList(b, last), '}'), nil
}

// open appends what stands before a field's value.
func (f *field) open(b []byte, first bool) []byte {
	if !first {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, f.name...)
	b = append(b, '"', ':')
	if f.kind == messages {
		b = append(b, '[')
	}
	return b
}

func closeList(b []byte, open protowire.Number) []byte {
	if open != 0 {
		b = append(b, ']')
	}
	return b
}

// append appends the value at the beginning of encoded, and returns the rest of that.
func (f *field) append(b, encoded []byte, wire protowire.Type) (out, rest []byte, err error) {
	size := protowire.ConsumeFieldValue(0, wire, encoded)
	if size < 0 {
		return nil, nil, protowire.ParseError(size)
	}
	value, rest := encoded[:size], encoded[size:]
	if wire != protowire.BytesType {
		return f.appendInteger(b, value, wire), rest, nil
	}
	value, _ = protowire.ConsumeBytes(value)
	switch f.kind {
	case text:
		b = appendQuoted(b, value)
	case hexID:
		b = append(hex.AppendEncode(append(b, '"'), value), '"')
	case message, messages:
		b, err = f.schema.appendJSON(b, value)
	default:
		err = fmt.Errorf("the field %s of an OTLP message is not a number", f.name)
	}
	return b, rest, err
}

func (f *field) appendInteger(b, value []byte, wire protowire.Type) []byte {
	var v uint64
	switch wire {
	case protowire.Fixed64Type:
		v = binary.LittleEndian.Uint64(value)
	case protowire.Fixed32Type:
		v = uint64(binary.LittleEndian.Uint32(value))
	default:
		v, _ = protowire.ConsumeVarint(value)
	}
	if f.kind == number {
		return strconv.AppendUint(b, v, 10)
	}
	b = append(b, '"')
	if wire == protowire.VarintType { // intValue is the only one with a sign
		b = strconv.AppendInt(b, int64(v), 10)
	} else {
		b = strconv.AppendUint(b, v, 10)
	}
	return append(b, '"')
}

// appendQuoted appends a JSON string (RFC 8259, section 7).
func appendQuoted(b, s []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	plain := 0 // what is before was written
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		} else {
			b = append(b, '\\', c)
		}
	}
	return append(append(b, s[plain:]...), '"')
}
