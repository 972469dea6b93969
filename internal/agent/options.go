// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/recording"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Options configure an [Agent]. The zero value traces every ping on the host, with the
// host's netfilter chains, and sends nothing anywhere.
type Options struct {
	// BPF is how the programs are loaded.
	BPF bpf.Options
	// Scope says by reference what is traced, unless Filter, Hypervisors or Netfilter is
	// set.
	Scope Scope
	// Strict makes it an error of Start if a reference of Scope, other than a pattern,
	// means nothing then.
	Strict bool
	// Filter, Hypervisors and Netfilter are for callers that made the namespaces
	// themselves: they say by inode number what is traced, and changes are not followed.
	// The zero Filter is everything; Hypervisors default to the host's own namespace,
	// Netfilter to none. The namespaces of Netfilter must stay open until Start returns.
	Filter      bpf.Filter
	Hypervisors []uint32
	Netfilter   []*netns.NS
	// WithoutNetfilter, if set, is called with the reason why the chains cannot be timed
	// in a namespace, and tracing continues without them; if nil, that is an error of
	// Start, and later is in [Status]. It may be called by another goroutine while the
	// agent runs, and must not call SetScope.
	WithoutNetfilter func(error)
	// OnRefused, if set, is called when the kernel refuses to change what is traced or to
	// release a namespace, again when the error's text changes, and with nil when it is
	// over; see [Refused.Err]. The agent continues and tries again. It is called by other
	// goroutines while the agent runs, by one at a time, and must not call SetScope.
	OnRefused func(error)
	// Kernel, if set, returns what the scope is applied to in place of the kernel side that
	// it is given. It is for tests.
	Kernel func(Kernel) Kernel
	// Names, if set, returns what the loop asks for names in place of what it is given. It is for
	// tests.
	Names func(Names) Names
	// Containers names namespaces after the containers that they belong to, and finds
	// them by those names. It costs a scan of all processes, at most one percent of the
	// time. ContainerSockets are those of the container runtimes that are queried for
	// names, such as container.DefaultSockets; none are queried if it is empty, and
	// containers go by their IDs.
	Containers       bool
	ContainerSockets []string
	// Tenants say to whom namespaces and devices belong, nil to nobody. See SetTenants.
	Tenants *tenant.Set
	// Firewall, if set, are the firewalls of tenants, whose verdicts are then in the traces.
	Firewall Firewall
	// WithoutFirewall, if set, is called with the reason why the firewalls' programs do not say
	// what they do, and tracing continues without that; if nil, it is an error of Start.
	WithoutFirewall func(error)
	// FastPath says in traces what the fast path does, or is nil. WithoutFastPath, if set, is called
	// with the reason why its programs do not, and tracing continues without that; if nil, it
	// is an error of Start.
	FastPath        FastPath
	WithoutFastPath func(error)
	// HostID identifies the host, as the attribute host.id does. With what distinguishes
	// clones, see spanHost, it makes span IDs unique among hosts.
	HostID string
	// Key is the key of derived IDs, the same on all hosts. Default: correlate.DefaultKey.
	Key correlate.Key
	// OwnRoot gives the part of a ping that this host only passes on a root of its own,
	// instead of a place below the sender's root.
	OwnRoot bool
	// Timeout is how long to wait for a reply. The default is DefaultTimeout.
	Timeout time.Duration
	// NameWait is for how long the trace of a ping waits for names that nobody has looked for before.
	// Others do not wait for it. The default is correlate.DefaultNameWait.
	NameWait time.Duration
	// Threshold has only those pings traced, by the kernel side, whose randomness is no less: a
	// rejection threshold of 56 bits as OpenTelemetry's consistent probability sampling has it, see
	// sampling.Threshold. 0 is all, 1<<56 none. See SetSampling. What it leaves out is counted in
	// [Summary.SampledOut].
	Threshold uint64
	// MaxRate is how many pings a second are traced, about. In a flood of more, those of
	// identifiers with many are left out, chosen by what they are, and counted in
	// [Summary.Gated]; those of identifiers with few are all traced. 0 means as many as this
	// machine can: nothing is left out until half of the room for events is unread. [NoGate]
	// leaves nothing out on purpose.
	MaxRate float64
	// Background is for an agent that must not be felt by others. If MaxRate is 0, no more is
	// traced of a flood that lasts than takes up about a twentieth of the machine's CPU time.
	Background bool
	// Count ends Run after so many pings; 0 means never.
	Count uint64
	// Open, if set, makes what the traces go to. Start calls it after everything that can
	// fail because of missing privileges or bad options, so a run that cannot start does
	// not truncate the file of an earlier one. If Open fails, it must have closed what it
	// opened.
	Open func() (Sinks, error)
	// OnEvent is called with every event in the order of the ring buffer, or nil. The
	// event is valid until it returns, and everything waits for it.
	OnEvent func(*event.Event)
	// OnTrace is called with every trace before it is exported, or nil. The trace must
	// not be changed, nor kept for longer than the call if there is an Exporter.
	OnTrace func(*trace.Trace)
	// OnTraces is called with all the traces that are finished at a time, before they are
	// exported and after OnTrace was called for each, or nil. They must not be changed, but
	// may be kept.
	OnTraces func([]*trace.Trace)
	// IdleTimeout is how long the exporter may go without sending anything once the run is
	// over. While it does send, it may take as long as it needs. The default is
	// DefaultIdleTimeout.
	IdleTimeout time.Duration
}

// onRefused calls OnRefused if it is set, and withoutNetfilter WithoutNetfilter.
func (o *Options) onRefused(err error) {
	if o.OnRefused != nil {
		o.OnRefused(err)
	}
}

func (o *Options) withoutNetfilter(err error) {
	if o.WithoutNetfilter != nil {
		o.WithoutNetfilter(err)
	}
}

// fixed reports whether the namespaces are given by number.
func (o *Options) fixed() bool {
	f := o.Filter
	return len(f.NetNS)+len(f.Interfaces)+len(f.Addresses)+len(o.Hypervisors)+len(o.Netfilter) > 0
}

// Sinks are what the traces go to. The Agent shuts them down.
type Sinks struct {
	// Exporter is given every trace, or nil. Its Export is called by the goroutine that
	// reads the ring buffer.
	Exporter exporter.Exporter
	// Recording takes everything from which the traces are made, or nil, and which of them
	// were handed on.
	Recording *recording.Writer
}

// DefaultTimeout is how long to wait for a reply by default.
const DefaultTimeout = 2 * time.Second

// tick is how often the ring buffer is emptied if the kernel side does not ask for it
// before: the delay of a trace. It is as long as a person does not notice, because
// reading disturbs what is measured: CPUs share caches and often a core, so pings are
// slower while we work.
const tick = 200 * time.Millisecond

// DefaultIdleTimeout is how long an exporter may go without sending anything at the end.
const DefaultIdleTimeout = 5 * time.Second
