// SPDX-License-Identifier: Apache-2.0

// Package otlpread makes traces of OTLP/JSON: of the lines that package otlpfile writes, which
// are also what the agent's API streams. Whoever has such a line can then draw, print and
// count it with what draws, prints and counts the agent's own traces.
//
// What OTLP does not carry cannot come back, see [Decode]. The JSON is read by the
// Collector's own reader (go.opentelemetry.io/collector/pdata): it is what the format is
// defined by, and takes a third of the time of encoding/json.
package otlpread

import (
	"bytes"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The limits of a line. They are far above what dwell writes, and bound the memory and the
// stack that any line can take.
const (
	// MaxLine is the greatest length of a line in bytes.
	MaxLine = 8 << 20
	// maxNesting is how deep JSON may be nested; OTLP's spans need 14.
	maxNesting = 32
	// maxValues is how many objects and lists there may be. A span has about 30.
	maxValues = 1 << 18
	// maxDepth is how many spans may be around one. dwell writes 4.
	maxDepth = 64
)

// Decode returns the traces of a line, in order of their roots. It is the inverse of what
// otlpfile does: the traces give the same line again, if encoded with the same options. What
// it does not know it ignores, so that it reads what later versions write. A line without
// spans gives no traces.
//
// OTLP carries neither interface indices nor types of devices, which are zero. In which
// namespace a span's peer is, is known only if the packet's next leaf begins there, and is
// otherwise said to be that of the span. [trace.Trace.Sent] is set if the
// root has no parent and there is a request; [trace.Span.Unfinished] and [trace.Event.Device] never are.
// Every span has a namespace, but none of two lines share one.
//
// An error says that the line is not OTLP/JSON, that a value cannot be what it is said to
// be, or that the spans of a trace do not form a tree.
func Decode(line []byte) ([]*trace.Trace, error) {
	if err := checkSize(line); err != nil {
		return nil, err
	}
	data, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
	if err != nil {
		return nil, fmt.Errorf("not a line of OTLP/JSON: %w", err)
	}
	f, err := read(data)
	if err != nil {
		return nil, err
	}
	return f.traces()
}

// checkSize fails if reading the line could take more memory or stack than it is worth.
func checkSize(line []byte) error {
	if len(line) > MaxLine {
		return fmt.Errorf("a line of %d bytes; at most %d are read", len(line), MaxLine)
	}
	depth, values := 0, 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			if i = closingQuote(line, i+1); i < 0 {
				return errCut
			}
		case '{', '[':
			values++
			if depth++; depth > maxNesting {
				return fmt.Errorf("JSON nested more than %d deep", maxNesting)
			}
		case '}', ']':
			depth--
		}
	}
	if values > maxValues {
		return fmt.Errorf("JSON with %d objects and lists; at most %d are read", values, maxValues)
	}
	if depth != 0 {
		return errCut
	}
	return nil
}

var errCut = errors.New("not a line of OTLP/JSON: it ends in the middle")

// closingQuote returns where the string ends that begins at from, or -1.
func closingQuote(line []byte, from int) int {
	for at := from; ; at++ {
		next := bytes.IndexByte(line[at:], '"')
		if next < 0 {
			return -1
		}
		at += next
		escapes := 0
		for at-escapes > from && line[at-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
}
