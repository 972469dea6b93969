// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/internal/clock"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/wait"
)

// The kernel reports every mount and unmount at once, and so every namespace that gets or
// loses a name in a directory. Names alone are then looked up, which is quick. The kernel
// does not report a process that enters a namespace, which is how containers and unnamed
// namespaces are found, and which happens moments later. So after a report every process
// is examined soon, and then at doubled intervals.
//
// After each time, the watcher rests for a multiple of the CPU time that it took, see
// [inventory.Rest]. Attaching and detaching do not count, and neither does time for which others
// had the CPU: on a busy machine that is seconds, after which there is all the more to catch up on.

// scopeWatcher keeps the kernel side and the inventory in step with the scope. It runs
// beside the loop, because resolving the scope takes milliseconds and the loop must keep
// reading.
type scopeWatcher struct {
	kernel    Kernel
	inventory *inventory.Inventory
	reports   reports

	mu sync.Mutex // guards the fields below, and keeps changes of the kernel side in order
	// scope is nil while the namespaces are fixed by Options.
	scope   *Scope
	current target
	// refused holds the error of each wanted namespace whose netfilter chains cannot be
	// timed; unreported holds those of them that have not been reported yet.
	refused    map[uint32]error
	unreported []error
	// scopeErr is why the scope could not be applied when it was last resolved, releaseErr
	// why a namespace could not be released the last time that was tried.
	scopeErr, releaseErr error

	// state is read without taking mu.
	state atomic.Pointer[applied]
}

// applied is what the kernel side was set to last. It is never modified.
type applied struct {
	target
	// known is the number of all namespaces, timed of those whose netfilter chains are timed.
	known, timed int
	refused      Refused
}

// addresses returns the prefixes that select pings; none selects all.
func (w *scopeWatcher) addresses() []netip.Prefix { return w.state.Load().filter.Addresses }

// partial reports whether the scope leaves out interfaces.
func (w *scopeWatcher) partial() bool { return len(w.state.Load().filter.Interfaces) > 0 }

// set makes s the scope, and returns when the kernel side applies it.
func (w *scopeWatcher) set(s Scope) error {
	if err := s.Check(); err != nil {
		return err
	}
	s = s.clone()
	defer w.report()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.apply(resolve(w.inventory, s, inventory.Everywhere)); err != nil {
		return err
	}
	w.scope, w.scopeErr = &s, nil
	w.publish()
	return nil
}

// resolve applies what the scope matches now, and returns the CPU time that it took to find
// that out.
func (w *scopeWatcher) resolve(where inventory.Where) (looked time.Duration) {
	defer w.report()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scope == nil {
		if w.inventory.HasTenants() { // who are named as well
			looked = clock.CPU(func() { w.inventory.Refresh(where) })
			w.inventory.Spend(looked)
			w.inventory.LookAtNew()
		}
		return looked
	}
	var meant target
	looked = clock.CPU(func() { meant = resolve(w.inventory, *w.scope, where) })
	w.inventory.Spend(looked)
	w.scopeErr = w.apply(meant)
	w.publish()
	w.inventory.LookAtNew()
	return looked
}

// apply sets the kernel side and the inventory to t. Only what differs is changed. What the
// kernel refuses is not kept in current, so that the next call tries it again.
func (w *scopeWatcher) apply(t target) error {
	if !sameFilter(t.filter, w.current.filter) {
		if err := w.kernel.SetFilter(t.filter); err != nil {
			return err
		}
	}
	w.inventory.SetHypervisors(t.hypervisors)
	w.current = t
	w.publish()
	err := w.applyNetfilter(t.netfilter)
	w.publish()
	return err
}

// publish stores the present state for readers that do not wait.
func (w *scopeWatcher) publish() {
	w.state.Store(&applied{w.current, w.inventory.Count(), len(w.kernel.NetfilterAttached()), w.refusals()})
}

// refusals returns what the kernel refuses now, in the same order each time.
func (w *scopeWatcher) refusals() Refused {
	r := Refused{Scope: w.scopeErr, Release: w.releaseErr}
	for _, inode := range slices.Sorted(maps.Keys(w.refused)) {
		r.Netfilter = append(r.Netfilter, w.refused[inode])
	}
	return r
}

// applyNetfilter attaches to the netfilter chains of the wanted namespaces and detaches from
// the others. A namespace whose chains cannot be timed is not an error; see refused.
func (w *scopeWatcher) applyNetfilter(wanted []uint32) error {
	var errs []error
	attached := w.kernel.NetfilterAttached()
	for _, inode := range attached {
		if !slices.Contains(wanted, inode) {
			errs = append(errs, w.kernel.DetachNetfilter(inode))
		}
	}
	for inode := range w.refused {
		if !slices.Contains(wanted, inode) {
			delete(w.refused, inode)
		}
	}
	for _, inode := range wanted {
		if slices.Contains(attached, inode) || w.refused[inode] != nil {
			continue
		}
		if err := w.attachNetfilter(inode); errors.Is(err, inventory.ErrGone) {
			continue // the inode number may be reused
		} else if err != nil {
			w.refused[inode] = err
			w.unreported = append(w.unreported, err)
		}
	}
	return errors.Join(errs...)
}

func (w *scopeWatcher) attachNetfilter(inode uint32) error {
	ns, err := w.inventory.Open(inode)
	if err != nil {
		return err
	}
	defer ns.Close()
	return attachNetfilter(w.kernel, ns)
}

func attachNetfilter(kernel Kernel, ns *netns.NS) error {
	if err := kernel.AttachNetfilter(ns.Do); err != nil {
		return fmt.Errorf("network namespace %s: %w", ns.Name(), err)
	}
	return nil
}

// watch resolves the scope whenever there is news, until ctx is done.
func (w *scopeWatcher) watch(ctx context.Context, news <-chan struct{}) {
	interval := inventory.Soon // namespaces may have appeared after the scope was set
	var rested time.Time       // when every process may be examined again
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			looked := w.resolve(inventory.Everywhere)
			w.release()
			rested = time.Now().Add(inventory.RestProcs * looked)
			interval = min(2*interval, inventory.Steady)
			timer.Reset(max(interval, time.Until(rested)))
		case _, watched := <-news:
			if !watched {
				news = nil // only the timer is left
				continue
			}
			looked := w.resolve(inventory.Names)
			if !wait.For(ctx, min(inventory.Rest*looked, inventory.Steady)) {
				return
			}
			if interval > inventory.Soon {
				interval = inventory.Soon
				timer.Reset(max(interval, time.Until(rested)))
			}
		}
	}
}

// release detaches from namespaces that nothing else uses any more and that exist only
// because their netfilter chains are timed.
func (w *scopeWatcher) release() {
	defer w.report()
	w.mu.Lock()
	defer w.mu.Unlock()
	_, w.releaseErr = w.kernel.ReleaseNetfilter()
	w.publish()
}
