// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// Probes say how the agent's own probes go: those of one tenant, or all if it is the operator's
// page.
type Probes struct {
	// Probes has one entry for each namespace and target, in the order of tenant, name, namespace
	// and target.
	Probes []Probe `json:"probes"`
	// Unresolved are references, with the name of the probe before them, that match no network
	// namespace now, or none of the tenant's.
	Unresolved []string `json:"unresolved"`
	// OverLimit is how many entries there would be besides, if there was no limit.
	OverLimit int `json:"over_limit"`
}

// Probe is how the pings of a probe go from one namespace to one target.
type Probe struct {
	// Tenant is whose probe it is, "" if it is the operator's.
	Tenant string `json:"tenant,omitempty"`
	Name   string `json:"name"`
	// NetNS is the name of the namespace.
	NetNS  string `json:"netns"`
	Target string `json:"target"`
	// Result is how the last ping ended: one of the values of dwell.probe.result, "" if none has
	// yet. Reason says in words why it is not "success".
	Result string `json:"result,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Time is when the last ping ended, and LastSuccess when the last reply came; absent if there
	// has been none. RTT is how long that reply took.
	Time        *time.Time `json:"time,omitempty"`
	LastSuccess *time.Time `json:"last_success,omitempty"`
	RTT         *int64     `json:"rtt_ns,omitempty"`
	// Next is when the next ping is due. It is in the past if that one is under way.
	Next *time.Time `json:"next,omitempty"`
}
