// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// attributes appends encoded attributes to a message in which they have the given
// field number.
type attributes struct {
	b     []byte
	field protowire.Number
}

func (a *attributes) string(key, value string) {
	a.b = appendStringAttribute(a.b, a.field, key, value)
}

// some writes a string that is not empty.
func (a *attributes) some(key, value string) {
	if value != "" {
		a.string(key, value)
	}
}

func (a *attributes) int(key string, value int64) {
	a.b = appendIntAttribute(a.b, a.field, key, value)
}

// root writes what is known of the trace as a whole.
func (a *attributes) root(t *trace.Trace) {
	a.int(trace.AttrICMPID, int64(t.Ping.ID))
	a.int(trace.AttrICMPSeq, int64(t.Ping.Seq))
	if t.Ping.PayloadLen >= 0 {
		a.int(trace.AttrPayloadLen, int64(t.Ping.PayloadLen))
	}
	a.string(trace.AttrOutcome, t.Outcome.String())
	a.some(trace.AttrIncomplete, string(t.Cause))
	a.some(trace.AttrTenantID, t.Tenant())
	if t.Local {
		a.string(trace.AttrIdentity, "local")
	}
	if t.Duplicates > 0 {
		a.int(trace.AttrDuplicates, int64(t.Duplicates))
	}
}

// event writes the attributes of a span event.
func (a *attributes) event(attrs []trace.Attr) {
	for _, attr := range attrs {
		if attr.IsInt {
			a.int(attr.Key, attr.Int)
		} else {
			a.string(attr.Key, attr.Str)
		}
	}
}
