// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Tracer holds the loaded programs. Its methods may be called from several
// goroutines, except that only one may drain and one wait or gather at a time.
type Tracer struct {
	opts   Options
	hooks  *event.Hooks
	objs   *objects
	reader *reader
	gates  *gates

	// netfilterMu guards netfilter, and is taken before mu: attaching takes long, and who
	// drains the ring must not wait for it.
	netfilterMu sync.Mutex
	netfilter   netfilter

	// filterMu guards what follows, and is taken after netfilterMu and before mu: a change
	// takes long, too.
	filterMu   sync.Mutex
	filter     Filter
	generation uint8
	filterKeys []filterKey
	quiescence *quiescence

	mu     sync.Mutex // guards what follows
	links  []link.Link
	closed bool
}

// Load puts the programs into the kernel. Nothing is recorded before Attach.
//
// Errors are ErrNoBTF, ErrTracepoint (an *UnsupportedError), ErrPermission or
// ErrVerifier where one of them is the cause.
func Load(opts Options) (*Tracer, error) {
	spec, err := opts.spec()
	if err != nil {
		return nil, fmt.Errorf("load tracing programs: %w", err)
	}
	t, err := load(opts, spec, event.All())
	if err != nil {
		return nil, fmt.Errorf("load tracing programs: %w", err)
	}
	return t, nil
}

// load puts the programs of a table's tracepoints into the kernel.
func load(opts Options, spec *ebpf.CollectionSpec, hooks *event.Hooks) (*Tracer, error) {
	types := opts.types()
	kernel, err := kernelBTF(types)
	if err != nil {
		return nil, err
	}
	size, err := opts.ringBytes()
	if err != nil {
		return nil, err
	}
	order := attachOrder(hooks)
	if err := checkTracepoints(kernel, order); err != nil {
		return nil, err
	}
	t := &Tracer{opts: opts, hooks: hooks}
	if t.objs, err = loadObjects(spec, types, kernel, order); err != nil {
		return nil, explainMemory(err, spec.Maps[kernelMapEvents])
	}
	if t.quiescence, err = newQuiescence(); err != nil {
		return nil, errors.Join(explain(err), t.objs.Close())
	}
	if t.gates, err = newGates(t.objs.Gates); err != nil {
		return nil, errors.Join(explain(err), t.quiescence.Close(), t.objs.Close())
	}
	if t.reader, err = newReader(t.objs.Events, t.objs.Wakeups, int(size), hooks); err != nil {
		return nil, errors.Join(explain(err), t.gates.close(), t.quiescence.Close(), t.objs.Close())
	}
	return t, nil
}

// Attach begins to record. Either all programs are attached or, with an error,
// none. Attaching twice is an error.
func (t *Tracer) Attach() error {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	t.filterMu.Lock()
	defer t.filterMu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if len(t.links) > 0 {
		return errors.New("attach tracing programs: already attached")
	}
	if err := errors.Join(t.resetXmitStacks(), t.objs.LinkKinds.Set(kernelLinkKinds{})); err != nil {
		return fmt.Errorf("attach tracing programs: %w", err)
	}
	for _, prog := range t.objs.tracepoints {
		l, err := link.AttachTracing(link.TracingOptions{Program: prog})
		if err != nil {
			return errors.Join(fmt.Errorf("attach tracing programs: %w", explain(err)), t.detach())
		}
		t.links = append(t.links, l)
	}
	if err := t.objs.Attached.Set(uint8(1)); err != nil {
		return errors.Join(fmt.Errorf("attach tracing programs: %w", err), t.detach())
	}
	return nil
}

// resetXmitStacks forgets driver calls that a Detach has cut off.
func (t *Tracer) resetXmitStacks() error {
	return t.objs.XmitStacks.Put(uint32(0), make([]kernelXmitStack, ebpf.MustPossibleCPU()))
}

// Detach ends recording, at netfilter's hooks too. What is in the ring can still be
// drained. Without a preceding Attach or AttachNetfilter it does nothing.
func (t *Tracer) Detach() error {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	return t.detach()
}

func (t *Tracer) detach() error {
	// In this order, so that no netfilter hook is left with a beginning and no end.
	errs := []error{t.netfilter.detachAll(), t.objs.Attached.Set(uint8(0))}
	for i := len(t.links) - 1; i >= 0; i-- {
		errs = append(errs, t.links[i].Close())
	}
	t.links = nil
	return errors.Join(errs...)
}

// Close detaches, interrupts Wait and takes the programs out of the kernel.
// Closing again does nothing.
func (t *Tracer) Close() error {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	t.filterMu.Lock()
	defer t.filterMu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	return errors.Join(t.detach(), t.reader.close(), t.gates.close(), t.netfilter.programs.Close(), t.quiescence.Close(), t.objs.Close())
}
