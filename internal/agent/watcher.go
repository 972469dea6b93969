// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
)

// The kernel tells at once when something is mounted or unmounted, and so of namespaces with
// a name in a directory: then names are looked at, which is quick. It does not tell of
// a process that enters a namespace, by which others and containers are found, and which
// follows within moments: so after news every process is looked at soon, and then at
// doubled intervals.
const (
	watchSoon   = 20 * time.Millisecond
	watchSteady = time.Second
	// watchRest is how many times as long as the last look at names kept a CPU busy comes
	// no other, but no longer than watchSteady; watchRestProcs as long as the last look at
	// every process. What the kernel takes to attach and detach does not count, nor for how
	// long others have the CPU: on a busy machine that is seconds, after which there is all
	// the more to catch up on.
	watchRest      = 20
	watchRestProcs = 100
)

// scopeWatcher keeps the kernel side and the inventory at what the scope means. It works
// beside the loop: looking takes milliseconds, in which the loop reads on.
type scopeWatcher struct {
	kernel    Kernel
	inventory *inventory.Inventory
	reports   reports

	mu sync.Mutex // guards what follows, and orders what the kernel is told
	// scope is nil as long as the namespaces are fixed by Options.
	scope   *Scope
	current target
	// refused are namespaces in which netfilter cannot be attached, as long as they
	// are wanted; unreported those that have not been reported yet.
	refused    map[uint32]error
	unreported []error
	// scopeErr is why the scope could not be applied when it was last resolved, releaseErr
	// why a namespace could not be released the last time that was tried.
	scopeErr, releaseErr error

	// state is read without waiting.
	state atomic.Pointer[applied]
}

// applied is what the kernel was told last. It does not change.
type applied struct {
	target
	// known is the number of all namespaces, timed that of those whose chains are.
	known, timed int
	refused      Refused
}

// addresses returns the prefixes that choose pings, none for all.
func (f *scopeWatcher) addresses() []netip.Prefix { return f.state.Load().filter.Addresses }

// set makes s the scope, and returns when the kernel knows.
func (f *scopeWatcher) set(s Scope) error {
	if err := s.Check(); err != nil {
		return err
	}
	s = s.clone()
	defer f.report()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.apply(resolve(f.inventory, s, inventory.Everywhere)); err != nil {
		return err
	}
	f.scope, f.scopeErr = &s, nil
	f.publish()
	return nil
}

// resolve applies what the scope means now, and returns how long it kept a CPU busy to find
// that out.
func (f *scopeWatcher) resolve(where inventory.Where) (looked time.Duration) {
	defer f.report()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.scope == nil {
		return 0
	}
	var meant target
	looked = busy(func() { meant = resolve(f.inventory, *f.scope, where) })
	f.scopeErr = f.apply(meant)
	f.publish()
	f.inventory.LookAtNew()
	return looked
}

// busy returns how long f keeps a CPU busy.
func busy(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime()
	f()
	return threadTime() - begin
}

// threadTime returns how much time of CPUs this thread has had.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // fails only for clocks that there are not
	return time.Duration(ts.Nano())
}

// apply tells the kernel side and the inventory what is different from before. What the
// kernel refuses is not in current, so that the next call tries it again.
func (f *scopeWatcher) apply(t target) error {
	if !sameFilter(t.filter, f.current.filter) {
		if err := f.kernel.SetFilter(t.filter); err != nil {
			return err
		}
	}
	f.inventory.SetHypervisors(t.hypervisors)
	f.current = t
	f.publish()
	err := f.applyNetfilter(t.netfilter)
	f.publish()
	return err
}

// publish makes known how things are.
func (f *scopeWatcher) publish() {
	f.state.Store(&applied{f.current, f.inventory.Count(), len(f.kernel.NetfilterAttached()), f.refusals()})
}

// refusals returns what the kernel refuses now, in the same order each time.
func (f *scopeWatcher) refusals() Refused {
	r := Refused{Scope: f.scopeErr, Release: f.releaseErr}
	for _, inode := range slices.Sorted(maps.Keys(f.refused)) {
		r.Netfilter = append(r.Netfilter, f.refused[inode])
	}
	return r
}

// applyNetfilter attaches and detaches the netfilter chains of namespaces. That they cannot
// be timed somewhere is no error.
func (f *scopeWatcher) applyNetfilter(wanted []uint32) error {
	var errs []error
	attached := f.kernel.NetfilterAttached()
	for _, inode := range attached {
		if !slices.Contains(wanted, inode) {
			errs = append(errs, f.kernel.DetachNetfilter(inode))
		}
	}
	for inode := range f.refused {
		if !slices.Contains(wanted, inode) {
			delete(f.refused, inode)
		}
	}
	for _, inode := range wanted {
		if slices.Contains(attached, inode) || f.refused[inode] != nil {
			continue
		}
		if err := f.attachNetfilter(inode); errors.Is(err, inventory.ErrGone) {
			continue // the number may be another's next
		} else if err != nil {
			f.refused[inode] = err
			f.unreported = append(f.unreported, err)
		}
	}
	return errors.Join(errs...)
}

func (f *scopeWatcher) attachNetfilter(inode uint32) error {
	ns, err := f.inventory.Open(inode)
	if err != nil {
		return err
	}
	defer ns.Close()
	return attachNetfilter(f.kernel, ns)
}

func attachNetfilter(kernel Kernel, ns *netns.NS) error {
	if err := kernel.AttachNetfilter(ns.Do); err != nil {
		return fmt.Errorf("network namespace %s: %w", ns.Name(), err)
	}
	return nil
}

// watch resolves the scope whenever there is news, until ctx is done.
func (f *scopeWatcher) watch(ctx context.Context, news <-chan struct{}) {
	interval := watchSoon // something may have come since the scope was set
	var rested time.Time  // when every process may be looked at again
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			looked := f.resolve(inventory.Everywhere)
			f.release()
			rested = time.Now().Add(watchRestProcs * looked)
			interval = min(2*interval, watchSteady)
			timer.Reset(max(interval, time.Until(rested)))
		case _, watched := <-news:
			if !watched {
				news = nil // what is left is the timer
				continue
			}
			looked := f.resolve(inventory.Names)
			if !pause(ctx, min(watchRest*looked, watchSteady)) {
				return
			}
			if interval > watchSoon {
				interval = watchSoon
				timer.Reset(max(interval, time.Until(rested)))
			}
		}
	}
}

// pause waits, and reports whether ctx is not done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// release lets go of namespaces that everybody else has left, and that are kept alive only
// because their netfilter chains are timed.
func (f *scopeWatcher) release() {
	defer f.report()
	f.mu.Lock()
	defer f.mu.Unlock()
	_, f.releaseErr = f.kernel.ReleaseNetfilter()
	f.publish()
}
