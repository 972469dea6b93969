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
	// At is set if Code is [CodeSyntax] and one word is at fault.
	At *Position `json:"at,omitempty"`
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
	// CodeMethod (405): the path has no such method. All but the firewall is read by GET and
	// HEAD only.
	CodeMethod = "method_not_allowed"
	// CodeSyntax (400): a command, a file of rules or a packet is not understood.
	CodeSyntax = "syntax"
	// CodeTooLarge (413): the body of the request is larger than what is read of one.
	CodeTooLarge = "too_large"
	// CodeContent (415): the body is not of the type that the path takes.
	CodeContent = "content_type"
	// CodeReadOnly (403): the caller may see the tenant, and not change its firewall.
	CodeReadOnly = "read_only"
	// CodeNoFirewall (409): the agent keeps no firewall, or the tenant cannot have one now.
	CodeNoFirewall = "no_firewall"
	// CodeNoFastPath (409): the agent has no fast path.
	CodeNoFastPath = "no_fast_path"
	// CodeFailed (500): it was tried and failed; what was in force before still is.
	CodeFailed = "failed"
	// CodeTooMany (429): the caller has as many requests or streams open as it may.
	CodeTooMany = "too_many"
	// CodeBusy (503): all callers together have as many open as there may be, or it took too
	// long.
	CodeBusy = "busy"
	// CodeRevoked: in a stream, the caller's right has been taken back or the tenant has been
	// removed.
	CodeRevoked = "revoked"
	// CodeStopping: in a stream, the agent ends.
	CodeStopping = "stopping"
)
