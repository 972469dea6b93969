// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

const (
	// unattendedAfter is after which time without an agent nothing is fast any more.
	unattendedAfter = 3 * time.Second
	// delay is how much later packets are judged, so that all that was forbidden is known.
	delay = 2 * time.Second
	// agentEvery is after how many changes something is done to the agent. The real one takes seconds to start.
	agentEvery, realAgentEvery = 25, 100
)

// session is one run.
type session struct {
	duration, lease, pause, prompt time.Duration
	seed                           uint64
	only                           string
	// share is which part of the packets that are seen must be fast. After each change flows are slow for a while.
	share float64
	ip    int    // the version
	dwell string // the program dwell, or "" for a process of this one
	name  string // what names of namespaces begin with

	world    *world
	judge    judge
	disorder *disorder
	traffic  *traffic
	pin      string
	mu       sync.Mutex // for agents
	agents   []*agent
	fast     uint64
	differ   uint64
}

func (r *session) run(ctx context.Context, out io.Writer) (err error) {
	p := plans()[r.ip]
	if p == nil {
		return fmt.Errorf("--ip is %d: it must be 4 or 6", r.ip)
	}
	dir, err := os.MkdirTemp("", "dwell-chaos-")
	if err != nil {
		return err
	}
	r.pin = filepath.Join(dir, "bpf")
	r.judge = judge{plan: p, latest: map[string]time.Duration{}, stalls: r.stalled}
	if r.world, err = newWorld(r.name, p); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		err = errors.Join(err, bypass.Remove(r.pin, r.world.spaces[hypervisor]), unmount(r.pin), r.world.close(), os.RemoveAll(dir))
	}()
	if err := r.begin(); err != nil {
		return err
	}
	if r.traffic, err = r.world.traffic(); err == nil && r.dwell != "" {
		err = r.world.ping(r.traffic)
	}
	if err != nil {
		return errors.Join(err, r.traffic.end(), r.agents[0].end(unix.SIGTERM))
	}
	stop, done := make(chan struct{}), make(chan error, len(r.world.ends))
	for device, end := range r.world.ends {
		go func() { done <- r.watch(device, end, stop) }()
	}
	err = r.disturb(ctx)
	before, cerr := r.world.tracked()
	err = errors.Join(err, cerr, r.traffic.end())
	close(stop)
	for range r.world.ends {
		err = errors.Join(err, <-done)
	}
	if last := r.agents[len(r.agents)-1]; last != nil {
		err = errors.Join(err, last.end(unix.SIGTERM))
	}
	return errors.Join(err, r.report(out, before))
}

// begin starts an agent.
func (r *session) begin() error {
	start := r.world.start
	if r.dwell != "" {
		start = func(pin string, lease time.Duration) (*agent, error) { return r.world.startReal(r.dwell, pin, lease) }
	}
	a, err := start(r.pin, r.lease)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.agents = append(r.agents, a)
	return nil
}

func (r *session) stalled(from, to time.Time) (sum time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.agents {
		sum += a.stalled(from, to)
	}
	return sum
}

// doubts returns the packets that the agents have excused.
func (r *session) doubts() (all []doubted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.agents {
		all = append(all, a.doubts()...)
	}
	return all
}

// watch judges what comes out at a device, a while after it has.
func (r *session) watch(device string, e wire.End, stop <-chan struct{}) error {
	var waiting []*seen
	for {
		f, err := e.Read(50 * time.Millisecond)
		if err != nil && !errors.Is(err, wire.ErrTimeout) {
			return err
		}
		if err == nil {
			waiting = append(waiting, see(device, &f))
		}
		ended := false
		select {
		case <-stop:
			ended = errors.Is(err, wire.ErrTimeout)
		default:
		}
		for len(waiting) > 0 && (ended || time.Since(waiting[0].at) > delay) {
			r.judge.examine(waiting[0])
			waiting = waiting[1:]
		}
		if ended {
			return nil
		}
	}
}

// disturb makes changes until the time is over.
func (r *session) disturb(ctx context.Context) error {
	d := newDisorder(r.world, &r.judge, r.seed, r.lease, r.prompt)
	r.disorder = d
	over, every := time.After(r.duration), agentEvery
	if r.dwell != "" {
		every = realAgentEvery
	}
	for n := 1; ; n++ {
		wait := time.After(time.Duration(rand.ExpFloat64() * float64(r.pause)))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over:
			return nil
		case <-wait:
		}
		if n%every == 0 {
			if err := r.replaceAgent(d); err != nil {
				return err
			}
			continue
		}
		if err := d.stepOf(r.only); err != nil {
			return err
		}
	}
}

// stepOf makes a change of a kind, or of any.
func (d *disorder) stepOf(kind string) error {
	if kind == "" {
		return d.step()
	}
	for _, c := range d.changes() {
		if c.name == kind {
			d.count[kind]++
			return c.do()
		}
	}
	return fmt.Errorf("there is no kind of change called %q", kind)
}

// replaceAgent stops the agent or kills it, changes something meanwhile, and starts another.
func (r *session) replaceAgent(d *disorder) error {
	old := r.agents[len(r.agents)-1]
	kill := d.rand.IntN(2) == 0
	sig, what := unix.SIGTERM, "restart"
	if kill {
		sig, what = unix.SIGKILL, "kill"
	}
	d.count[what]++
	if err := old.end(sig); err != nil {
		return err
	}
	r.fast += old.counts().Fast
	r.differ += old.counts().Differ
	if kill {
		d.unattended = time.Now().Add(unattendedAfter)
		for range 3 {
			if err := d.stepOf(r.only); err != nil {
				return err
			}
		}
	}
	return r.begin()
}

// report prints what was seen, and returns what is wrong with it.
func (r *session) report(out io.Writer, t tracked) error {
	var errs []error
	for _, v := range r.judge.violations {
		errs = append(errs, errors.New(v))
	}
	last := r.agents[len(r.agents)-1].counts()
	fast := r.fast + last.Fast
	fmt.Fprintf(out, "%d packets seen; %d fast; the last agent: %+v\n", r.judge.count, fast, last)
	for _, k := range slices.Sorted(maps.Keys(r.disorder.count)) {
		fmt.Fprintf(out, "  %d times %s\n", r.disorder.count[k], k)
	}
	for _, k := range slices.Sorted(maps.Keys(r.judge.latest)) {
		fmt.Fprintf(out, "  %s: the last %s after the change\n", k, r.judge.latest[k])
	}
	for _, s := range r.traffic.streams {
		fmt.Fprintf(out, "  %s: %d MB\n", s.name, s.bytes.Load()>>20)
	}
	for _, e := range r.traffic.echoes {
		fmt.Fprintf(out, "  %s: %d of %d came back, %d overtaken\n", e.name, e.got.Load(), e.sent.Load(), e.overtook.Load())
	}
	fmt.Fprintf(out, "  connection tracking: %d invalid; TCP: %d resets\n", t.invalid, t.resets)
	if t.invalid > 0 || t.resets > 0 {
		errs = append(errs, fmt.Errorf("connection tracking calls %d packets invalid, and there were %d resets", t.invalid, t.resets))
	}
	doubts := r.doubts()
	fmt.Fprintf(out, "  %d packets were not as foretold because something was changing\n", len(doubts))
	errs = append(errs, explained(doubts, r.disorder.routes)...)
	if differ := r.differ + last.Differ; differ > 0 {
		errs = append(errs, fmt.Errorf("%d packets were foretold wrong", differ))
	}
	if fast == 0 || float64(fast) < r.share*float64(r.judge.count) {
		errs = append(errs, fmt.Errorf("only %d packets were fast: nothing is shown", fast))
	}
	return errors.Join(errs...)
}

func unmount(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
