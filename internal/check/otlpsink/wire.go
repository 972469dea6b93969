// SPDX-License-Identifier: Apache-2.0

package otlpsink

import "google.golang.org/protobuf/encoding/protowire"

// eachSpan calls f with the trace ID of each span of an encoded ExportTraceServiceRequest: field
// 1 of those in field 2 of what is in field 2 of its field 1. Nothing else is decoded, because
// the endpoint must not cost more than what it measures.
func eachSpan(request []byte, f func(ID)) {
	each(request, 1, func(resource []byte) {
		each(resource, 2, func(scope []byte) {
			each(scope, 2, func(span []byte) {
				var id ID
				first(span, 1, func(b []byte) { copy(id[:], b) })
				f(id)
			})
		})
	})
}

// each calls f with each message in the given field of a message.
func each(message []byte, field protowire.Number, f func([]byte)) {
	for len(message) > 0 {
		value, rest, is := next(message, field)
		if is {
			f(value)
		}
		message = rest
	}
}

// first calls f with the first one.
func first(message []byte, field protowire.Number, f func([]byte)) {
	for len(message) > 0 {
		value, rest, is := next(message, field)
		if is {
			f(value)
			return
		}
		message = rest
	}
}

// next takes a field off a message. The rest is empty if the message is not a valid one.
func next(message []byte, field protowire.Number) (value, rest []byte, is bool) {
	number, kind, n := protowire.ConsumeTag(message)
	if n < 0 {
		return nil, nil, false
	}
	message = message[n:]
	size := protowire.ConsumeFieldValue(number, kind, message)
	if size < 0 {
		return nil, nil, false
	}
	if number == field && kind == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(message)
		return value, message[size:], true
	}
	return nil, message[size:], false
}
