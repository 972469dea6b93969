// SPDX-License-Identifier: Apache-2.0

// Package agent joins the parts: kernel side, correlator, names, clock and exporters.
//
// One goroutine does all the work between the events and the exporter's queue, so that
// nothing on that way needs a lock. It waits for nobody who looks at namespaces, see
// loopNames. Another empties the ring buffer into memory while that one is busy: a flood of
// pings writes events faster than traces can be made of them.
//
// The exporters send from goroutines of their own, each behind a queue. Where there is no
// room, Export waits for as long as the exporter's [exporter.Queue] says, which for a
// backend is not at all: a slow one never slows the reader. For a file, which may only be
// busy for a moment, it is a few seconds in which it takes nothing. Traces that find no
// room after that are dropped whole and counted, and so are the events for which neither
// the ring buffer nor memory has room meanwhile.
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/clock"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Agent traces the pings of this host.
type Agent struct {
	opts      Options
	sinks     Sinks
	tracer    *bpf.Tracer
	inventory *inventory.Inventory
	watcher   *scopeWatcher
	blamer    *blamer
	// sharing are those whose programs write into the tracer's ring.
	sharing    []sharer
	tunnels    *tunnelWatcher
	correlator correlator
	resolver   resolver
	// names are the loop's; looked tells it that a look at a namespace has ended.
	names  *loopNames
	looked chan struct{}
	// now reads the events' clock, clock relates it to the wall clock.
	now   clock.Reading
	clock *clock.Converter
	// latest is up to when, on the events' clock, all events have been taken.
	latest uint64
	// gate chooses what is traced of a flood.
	gate *gatekeeper
	// batch holds the traces finished since the last send.
	batch []finished
	// waited is for how long the exporter has held up this iteration of the loop without
	// taking what it got.
	waited time.Duration
	// finishing is set when the run is over and what is left is being sent.
	finishing bool
	summary   Summary
	// checked is when the kernel side's counters were last read, checkedBefore the time
	// before.
	checked, checkedBefore uint64
	lost                   uint64
	status                 atomic.Pointer[report]
}

// correlator is a [correlate.Correlator], recorded or not.
type correlator interface {
	Add(*event.Event)
	Lost(from, to uint64)
	Advance(now uint64)
	Flush()
	SetPartial(bool)
	Unnamed() int
	Stats() correlate.Stats
}

// Start loads and attaches the programs; when it returns, pings are being recorded.
// The caller must call Run, which ends the tracing, too. Errors are those of
// [bpf.Load], [bpf.Tracer.Attach] and Options.Open.
func Start(opts Options) (*Agent, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.NameWait <= 0 {
		opts.NameWait = correlate.DefaultNameWait
	}
	if opts.IdleTimeout <= 0 {
		opts.IdleTimeout = DefaultIdleTimeout
	}
	if opts.Key == (correlate.Key{}) {
		opts.Key = correlate.DefaultKey
	}
	opts.BPF.Key = opts.Key
	a := &Agent{opts: opts}
	if err := a.start(); err != nil {
		return nil, errors.Join(err, a.release(), a.abandon())
	}
	return a, nil
}

func (a *Agent) start() (err error) {
	if a.now, err = clock.Kernel(); err != nil {
		return err
	}
	if a.clock, err = clock.New(a.now, clock.Wall); err != nil {
		return err
	}
	if a.opts.BPF.Types == nil {
		a.opts.BPF.Types = btf.NewCache()
	}
	reasons, err := bpf.LoadDropReasons(a.opts.BPF.Types)
	if err != nil {
		return err
	}
	if err := a.takeInventory(reasons); err != nil {
		return err
	}
	if a.opts.Strict && !a.opts.fixed() {
		if err := checkFound(a.inventory, a.opts.Scope); err != nil {
			return err
		}
	}
	if a.tracer, err = bpf.Load(a.opts.BPF); err != nil {
		return err
	}
	if err := a.look(); err != nil {
		return err
	}
	a.SetTenants(a.opts.Tenants)
	a.tunnels = &tunnelWatcher{inventory: a.inventory, set: a.tracer.SetTunnelPorts}
	if err := a.tunnels.update(); err != nil {
		return err
	}
	if a.opts.Open != nil {
		if a.sinks, err = a.opts.Open(); err != nil {
			return err
		}
	}
	if a.checked, err = a.now(); err != nil {
		return err
	}
	a.gate = newGatekeeper(a.tracer, a.now, &a.opts)
	if err := a.gate.begin(ofGates(a.opts.Threshold)); err != nil {
		return err
	}
	a.blamer = newBlamer(a.opts.Firewall, a.names)
	a.correlate()
	if err := a.tracer.Attach(); err != nil {
		return err
	}
	return a.share()
}

// takeInventory finds the namespaces that there are.
func (a *Agent) takeInventory(reasons *bpf.DropReasons) (err error) {
	a.looked = make(chan struct{}, 1)
	a.inventory, err = inventory.New(inventory.Config{
		Hypervisors: a.opts.Hypervisors, Containers: a.opts.Containers, Sockets: a.opts.ContainerSockets,
		Settle: settle(a.opts.Timeout, a.opts.NameWait),
		Looked: func() {
			select {
			case a.looked <- struct{}{}:
			default: // it has not heard of the last yet
			}
		},
	})
	if err != nil {
		return fmt.Errorf("list network namespaces: %w", err)
	}
	a.resolver = resolver{a.inventory, reasons}
	a.names = &loopNames{Names: a.inventory.View(), reasons: reasons}
	if a.opts.Names != nil {
		a.names.Names = a.opts.Names(a.names.Names)
	}
	return nil
}

// correlate makes the correlator, recorded if there is a recording.
func (a *Agent) correlate() {
	opts := correlate.Options{
		Timeout:  a.opts.Timeout,
		Key:      a.opts.Key,
		HostID:   spanHost(a.opts.HostID, os.ReadFile),
		Start:    a.checked,
		Wall:     a.clock.Offset(a.checked),
		Partial:  a.watcher.partial(),
		OwnRoot:  a.opts.OwnRoot,
		Resolver: a.names,
		Named:    a.names.named,
		NameWait: a.opts.NameWait,
		Rules:    a.rules(),
		FastPath: a.opts.FastPath,
		Emit:     func(t *trace.Trace) { a.batch = append(a.batch, a.gate.finished(t)) },
		Closing:  a.gate.closing,
	}
	if a.sinks.Recording == nil {
		a.correlator = correlate.New(opts)
	} else {
		a.correlator = a.sinks.Recording.Correlator(opts, opts.Wall)
	}
}

// rules returns what names rules of firewalls, or nil.
func (a *Agent) rules() correlate.Rules {
	if a.opts.Firewall == nil {
		return nil
	}
	return a.opts.Firewall
}

// look passes the scope to the kernel side.
func (a *Agent) look() error {
	var without error
	a.watcher = &scopeWatcher{kernel: a.tracer, inventory: a.inventory, refused: map[uint32]error{}}
	if a.opts.Kernel != nil {
		a.watcher.kernel = a.opts.Kernel(a.tracer)
	}
	a.watcher.reports.refused = a.opts.onRefused
	a.watcher.reports.without = func(err error) { without = errors.Join(without, err) }
	if err := a.begin(); err != nil {
		return err
	}
	if without != nil && a.opts.WithoutNetfilter == nil {
		return without
	}
	a.watcher.reports.without = a.opts.withoutNetfilter
	if without != nil {
		a.opts.withoutNetfilter(without)
	}
	return nil
}

// begin has the scope watcher pass the initial scope to the kernel side.
func (a *Agent) begin() error {
	f := a.watcher
	if !a.opts.fixed() {
		return f.set(a.opts.Scope)
	}
	if err := f.apply(target{filter: a.opts.Filter, hypervisors: a.opts.Hypervisors}); err != nil {
		return err
	}
	for _, ns := range a.opts.Netfilter {
		if err := attachNetfilter(f.kernel, ns); err != nil {
			f.reports.without(err)
		}
	}
	f.publish()
	return nil
}

// release gives back what the kernel holds for the agent.
func (a *Agent) release() error {
	if a.inventory != nil {
		a.inventory.Close()
	}
	if a.tracer == nil {
		return nil
	}
	return errors.Join(a.unshare(), a.tracer.Close())
}

// resolver names devices from the inventory and drop reasons from the kernel's types.
type resolver struct {
	*inventory.Inventory
	reasons *bpf.DropReasons
}

// DropReason implements [correlate.Resolver].
func (r resolver) DropReason(code uint32) string { return r.reasons.Name(code) }

// Resolver returns what names devices and drop reasons, and waits a moment for what is not known.
// It is safe for concurrent use.
func (a *Agent) Resolver() correlate.Resolver { return a.resolver }

// Run traces until ctx is done or Options.Count pings are finished. Then it detaches
// the programs, finishes the open pings, and lets the exporter send what it has, for as
// long as it makes progress: see Options.IdleTimeout. The Summary is valid even if there
// is an error; that the exporter could not send everything is one.
func (a *Agent) Run(ctx context.Context) (Summary, error) {
	ctx, over := context.WithCancel(ctx)
	defer over()
	export, stop := WithIdleTimeout(ctx, a.sinks.Exporter, a.opts.IdleTimeout)
	defer stop()
	mounts, err := netns.WatchMounts()
	if err != nil {
		return a.summary, errors.Join(err, a.release(), a.abandon())
	}
	news, alarm := make(chan struct{}, 1), make(chan struct{}, 1)
	var beside sync.WaitGroup
	var gathered, gated, watched error
	beside.Go(func() { a.watcher.watch(ctx, mounts.Changed()) })
	beside.Go(func() {
		if gathered = a.gather(ctx, news, alarm); gathered != nil {
			over()
		}
	})
	beside.Go(func() {
		if gated = a.gate.watch(ctx, alarm); gated != nil {
			over()
		}
	})
	beside.Go(func() {
		if watched = a.tunnels.watch(ctx); watched != nil {
			over()
		}
	})
	err = a.loop(ctx, export, news)
	over()
	beside.Wait()
	err = errors.Join(err, gathered, gated, watched, mounts.Close())
	err = errors.Join(err, a.finish(export))
	err = errors.Join(err, a.release(), a.shutdown(export))
	return a.summary, err
}
