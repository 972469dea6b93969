// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Hastening is what is asked of what keeps the fast path, such as an accelerator.Manager.
type Hastening interface {
	// SetTracing gives the programs the maps of a tracer, or takes them away with nil.
	SetTracing(shared map[string]*ebpf.Map) error
}

// FastPath says in traces what the fast path does.
type FastPath struct{ Hastening }

// NewFastPath returns what says so.
func NewFastPath(h Hastening) *FastPath { return &FastPath{h} }

// FastPathReason names why a packet was not sent by the fast path, or nothing was learnt from it.
func (*FastPath) FastPathReason(code uint16) string {
	if all := flow.Reasons(); int(code) < len(all) {
		return all[code].String()
	}
	return ""
}
