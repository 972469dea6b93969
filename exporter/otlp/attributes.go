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

// root appends what is known of the trace as a whole.
func (e *Encoder) root(b []byte, t *trace.Trace) []byte {
	b = e.icmpID.append(b, int64(t.Ping.ID))
	b = e.icmpSeq.append(b, int64(t.Ping.Seq))
	if t.Ping.PayloadLen >= 0 {
		b = e.payloadLen.append(b, int64(t.Ping.PayloadLen))
	}
	end := ending{outcome: t.Outcome, cause: t.Cause, tenant: t.Tenant(), local: t.Local, duplicates: t.Duplicates}
	return append(b, *e.endings.get(&end)...)
}

// ending is how a ping ended, whose it was, and what few pings have: the same for many pings.
type ending struct {
	outcome    trace.Outcome
	cause      trace.Cause
	tenant     string
	local      bool
	duplicates int
}

func encodeEnding(end ending) []byte {
	a := attributes{field: spanAttributes}
	a.string(trace.AttrOutcome, end.outcome.String())
	a.some(trace.AttrIncomplete, string(end.cause))
	a.some(trace.AttrTenantID, end.tenant)
	if end.local {
		a.string(trace.AttrIdentity, "local")
	}
	if end.duplicates > 0 {
		a.int(trace.AttrDuplicates, int64(end.duplicates))
	}
	return a.b
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
