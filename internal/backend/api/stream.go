// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Line is what a line of a stream has besides OTLP's resourceSpans. A line that has it has
// no spans: {"resourceSpans":[],"dwell":{…}}. So whoever knows only OTLP may read all lines.
type Line struct {
	// Note is nil in a line with traces.
	Note *Note `json:"dwell,omitempty"`
}

// Note is what the server says about a stream.
type Note struct {
	// Time is when the server wrote it. A note with nothing else is a heartbeat: one comes
	// first, and then one every [HeartbeatInterval].
	Time time.Time `json:"time"`
	// Lost is how many lines this reader was too slow for since the last such note, at this
	// place in the stream. All that were published are received or in one of these.
	Lost uint64 `json:"lost,omitempty"`
	// End is set in the last line of a stream that the server ends. Without it, the
	// connection was lost.
	End *Problem `json:"end,omitempty"`
}

// Problem says why a request was refused or a stream ended.
type Problem struct {
	// Code is one of the Code constants.
	Code string `json:"code"`
	// Message is for people.
	Message string `json:"message"`
}

// Error is the body of every answer that is not a success.
type Error struct {
	Error Problem `json:"error"`
}

// The codes, and the HTTP status of each.
const (
	// CodeNotYours (403): there is no such tenant, or the caller may not see it. Who may see
	// nothing is not told which.
	CodeNotYours = "not_yours"
	// CodeUnknownTenant (404): there is no such tenant. Only the operator is told.
	CodeUnknownTenant = "unknown_tenant"
	// CodeUnknownTrace (404): the trace is not among the last ones.
	CodeUnknownTrace = "unknown_trace"
	// CodeUnauthenticated (401): it is not known who the caller is.
	CodeUnauthenticated = "unauthenticated"
	// CodeBadRequest (400): an ID, a path or a parameter is not a valid one.
	CodeBadRequest = "bad_request"
	// CodeNotFound (404): the API has no such path.
	CodeNotFound = "not_found"
	// CodeMethod (405): the API is read by GET and HEAD only.
	CodeMethod = "method_not_allowed"
	// CodeTooMany (429): the caller has as many requests or streams open as it may.
	CodeTooMany = "too_many"
	// CodeBusy (503): all callers together have as many open as there may be.
	CodeBusy = "busy"
	// CodeRevoked: in a stream, the caller's right has been taken back or the tenant has been
	// removed.
	CodeRevoked = "revoked"
	// CodeStopping: in a stream, the agent ends.
	CodeStopping = "stopping"
)
