// SPDX-License-Identifier: Apache-2.0

// Package api is what the agent's HTTP API says, as JSON: types that the server and its
// clients share, and nothing that depends on either.
//
// The description for other clients is the OpenAPI page that the server serves at
// [PathOpenAPI]; a test holds both together.
package api

import "time"

// The fixed paths. Those of one tenant are made by [TenantPath].
const (
	PathOpenAPI = "/v1/openapi.yaml"
	PathTenants = "/v1/tenants"
	// Those of the operator, who sees everything.
	PathSummary = "/v1/summary"
	PathPings   = "/v1/pings"
	PathProbes  = "/v1/probes"
	PathTraces  = "/v1/traces"
)

// TenantPath returns the path of one tenant: followed by /summary, /pings, /probes, /traces or
// /traces/{traceID}. The ID must be a valid one.
func TenantPath(id string) string { return PathTenants + "/" + id }

// DefaultSocket is where a client looks for the agent.
const DefaultSocket = "/run/dwell/agent.sock"

// HeartbeatInterval is how often a stream says that it is alive.
const HeartbeatInterval = 5 * time.Second

// The types of content.
const (
	ContentJSON   = "application/json"
	ContentStream = "application/x-ndjson"
	ContentYAML   = "application/yaml"
	ContentText   = "text/plain; charset=utf-8"
)

// Tenants is the answer of [PathTenants]: those that the caller may see, by ID.
type Tenants struct {
	Tenants []Tenant `json:"tenants"`
	// Operator is set if the caller may also ask for what is not any tenant's.
	Operator bool `json:"operator"`
}

// Tenant is one tenant in short.
type Tenant struct {
	ID string `json:"id"`
	// Since is when counting began: with the tenant's first ping. It is absent if there has
	// not been any.
	Since *time.Time `json:"since,omitempty"`
	// LastPing is when the last ping began.
	LastPing *time.Time `json:"last_ping,omitempty"`
	// Pings is how many there were since then.
	Pings uint64 `json:"pings"`
}

// Summary says what the pings of one tenant came to, or of all if it is the operator's.
type Summary struct {
	// Tenant is the ID, or "" for the operator's.
	Tenant string `json:"tenant"`
	// Since is when counting began, absent if there has been no ping yet.
	Since *time.Time `json:"since,omitempty"`
	Pings Counts     `json:"pings"`
	RTT   Times      `json:"rtt"`
	// Devices are the places where time was spent, ordered by their names.
	Devices []Device `json:"devices"`
	// Truncated is how many measurements were of places for which there was no row left. They
	// are in the row that has Overflow.
	Truncated uint64 `json:"truncated,omitempty"`
}

// Counts says how pings ended. The keys are those of the traces' attributes: outcomes,
// drop reasons, causes. There is a limit to the number of drop reasons; those beyond are
// counted as [OtherReason].
type Counts struct {
	Total     uint64            `json:"total"`
	ByOutcome map[string]uint64 `json:"by_outcome"`
	Drops     map[string]uint64 `json:"drops"`
	// Incomplete has the cause of each ping of which not all was seen.
	Incomplete map[string]uint64 `json:"incomplete"`
}

// OtherReason counts what has no row of its own.
const OtherReason = "other"

// Times is a distribution of durations in nanoseconds. The percentiles are within 2 % of
// the exact ones, and all are 0 if Count is.
type Times struct {
	Count uint64 `json:"count"`
	P50   int64  `json:"p50_ns"`
	P99   int64  `json:"p99_ns"`
	Max   int64  `json:"max_ns"`
}

// Device is how long packets dwelt in one place.
type Device struct {
	// NetNS is the name of the network namespace.
	NetNS string `json:"netns"`
	// Kind is the kind of the span: dwell.kind.
	Kind string `json:"kind"`
	// Device is where the span begins, Peer where it ends if that is another device; "" if it
	// is about none.
	Device string `json:"device"`
	Peer   string `json:"peer"`
	Bridge string `json:"bridge"`
	// Direction is "request", "reply" or "".
	Direction string `json:"direction"`
	// Parent is "" or, for a part of another place, the kind of that: "hypervisor", "device",
	// "deliver". Only rows without a parent may be added up.
	Parent string `json:"parent,omitempty"`
	// Overflow is set for the one row that takes in what would have been too many. Its other
	// fields above are "".
	Overflow bool `json:"overflow,omitempty"`
	Times
}

// Pings are the last pings, newest first.
type Pings struct {
	Pings []Ping `json:"pings"`
}

// Ping is one ping in short.
type Ping struct {
	TraceID string    `json:"trace_id"`
	Time    time.Time `json:"time"`
	// Src and Dst are addresses, or "" if not known or not to be shown.
	Src     string `json:"src"`
	Dst     string `json:"dst"`
	Seq     uint16 `json:"seq"`
	Outcome string `json:"outcome"`
	// Cause is set if Outcome is "incomplete", DropReason if it is "dropped".
	Cause      string `json:"cause,omitempty"`
	DropReason string `json:"drop_reason,omitempty"`
	// RTT is absent if there was no reply.
	RTT *int64 `json:"rtt_ns,omitempty"`
	// Spans is how many the trace has.
	Spans int `json:"spans"`
}
