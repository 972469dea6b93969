// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/recording"
)

// Options configure an [Agent]. The zero value traces every ping on the host and sends
// nothing anywhere.
type Options struct {
	// BPF is how the programs are loaded.
	BPF bpf.Options
	// Filter is what the kernel side looks at. The zero value is everything.
	Filter bpf.Filter
	// Hypervisors are the inodes of the namespaces that are hypervisors. Default: the
	// host's own namespace.
	Hypervisors []uint32
	// Netfilter are the namespaces in which the netfilter chains are timed. They must stay
	// open until Start returns. It needs Linux 6.4 and CAP_NET_ADMIN.
	Netfilter []*netns.NS
	// WithoutNetfilter, if set, is told why the chains cannot be timed, and tracing goes
	// on without; if nil, that is an error of Start.
	WithoutNetfilter func(error)
	// HostID makes span IDs unique among hosts.
	HostID string
	// Timeout is how long a reply is waited for. Default DefaultTimeout.
	Timeout time.Duration
	// Count ends Run after so many pings; 0 means never.
	Count uint64
	// Open, if set, makes what the traces go to. Start calls it when all that can fail
	// for want of privileges or for bad options is done, so that a run that cannot begin
	// empties no file of an earlier one. If Open fails, it has let go of what it opened.
	Open func() (Sinks, error)
	// OnEvent is called with every event in the order of the ring buffer, or nil. The
	// event is valid until it returns, and everything waits for it.
	OnEvent func(*event.Event)
	// OnTrace is called with every trace before it is exported, or nil. The trace must
	// not be changed, nor kept for longer than the call if there is an Exporter.
	OnTrace func(*trace.Trace)
	// Patience is how long the exporter may go without sending anything once the run is
	// over. As long as it does send, it may take as long as it needs. Default
	// DefaultPatience.
	Patience time.Duration
}

// Sinks are what the traces go to. The Agent shuts them down.
type Sinks struct {
	// Exporter is given every trace, or nil. Its Export is called by the goroutine that
	// reads the ring buffer.
	Exporter exporter.Exporter
	// Recording takes everything from which the traces are made, or nil. With
	// bpf.Filter.Addresses it holds what the kernel side let pass, which may be more than
	// what was handed on.
	Recording *recording.Writer
}

// DefaultTimeout is how long a reply is waited for unless said otherwise.
const DefaultTimeout = 2 * time.Second

// tick is how often the ring buffer is emptied if the kernel side does not ask for it
// before: the delay of a trace. It is as long as a person does not notice, since reading
// disturbs what is measured: CPUs share caches and often a core, so pings are slower
// while we work.
const tick = 200 * time.Millisecond

// DefaultPatience is how long an exporter may go without sending anything at the end.
const DefaultPatience = 5 * time.Second
