// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/bystanders"
	"github.com/dwelltrace/dwell/fastpath/changes"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// fakePolicy approves what it does not refuse.
type fakePolicy struct{ refuse map[uint16]string } // by destination port

func (p *fakePolicy) Judge(forth, _ *flow.Flow) approval.Decision {
	if why := p.refuse[forth.Key.Dport]; why != "" {
		return approval.Decision{Reason: flow.Forbidden, Detail: why}
	}
	return approval.Decision{OK: true}
}

// fakeLiberal notes which connections were made liberal.
type fakeLiberal struct {
	mu  sync.Mutex
	set []flow.Tuple
	err error
}

func (l *fakeLiberal) Set(t flow.Tuple, _ uint16) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = append(l.set, t)
	return l.err
}

func (l *fakeLiberal) Look(flow.Tuple, uint16) (*liberal.Connection, error) {
	return nil, liberal.ErrGone
}
func (l *fakeLiberal) Close() error { return nil }

// world is a host of fakes: red has ports 11 and 12 behind bridge 10, blue port 21; the NIC is 2.
type world struct {
	t        *testing.T
	m        *Manager
	programs *fakePrograms
	liberal  *fakeLiberal
	report   chan func(changes.Change) // of each watch that begins
	failing  chan error                // ends a watch

	// began is set when the first change was reported.
	began atomic.Bool

	mu          sync.Mutex
	unsupported error
	removed     int
	facts       bystanders.Facts
	policy      *fakePolicy
	rules       func(context.Context) error
	read        []string
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, programs: newFakePrograms(), liberal: &fakeLiberal{}, report: make(chan func(changes.Change), 1),
		failing: make(chan error, 1), policy: &fakePolicy{},
		facts: bystanders.Facts{Near: map[int]bool{2: true, 10: true, 11: true, 12: true, 21: true}, Devices: []bystanders.Device{
			{Index: 2, Name: "ens3"},
			{Index: 11, Name: "red-1", Port: true, Tenant: "red"},
			{Index: 12, Name: "red-2", Port: true, Tenant: "red", Peer: true, PeerIndex: 5, PeerNetNS: 6},
			{Index: 21, Name: "blue-1", Port: true, Tenant: "blue"},
		}},
	}
	w.m = newManager(Options{Lease: 4 * time.Second, Capacity: 100}, w.faces())
	return w
}

func (w *world) faces() *faces {
	return &faces{
		supported: func() error { w.mu.Lock(); defer w.mu.Unlock(); return w.unsupported },
		open:      func(map[string]*ebpf.Map, int) (programs, error) { w.programs.do("open"); return w.programs, nil },
		remove:    func() error { w.mu.Lock(); defer w.mu.Unlock(); w.removed++; return nil },
		watched:   func(programs, []flow.Key) (watch, error) { return nil, errors.New("not here") },
		host: func(s *tenant.Set) (*scope.Host, error) {
			w.note("host")
			return fakeHost(s), nil
		},
		facts: func(context.Context, *scope.Host) (*bystanders.Facts, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			f := w.facts
			return &f, nil
		},
		rules: func(ctx context.Context) (*premises.Foreign, error) {
			w.note("rules")
			w.mu.Lock()
			rules := w.rules
			w.mu.Unlock()
			if rules != nil {
				if err := rules(ctx); err != nil {
					return nil, err
				}
			}
			return &premises.Foreign{}, nil
		},
		policy:  func(approval.Inputs) policy { w.mu.Lock(); defer w.mu.Unlock(); return w.policy },
		equal:   func(a, b policy) bool { return a == b },
		liberal: func() (liberator, error) { return w.liberal, nil },
		changes: func(ctx context.Context, report func(changes.Change)) error {
			select {
			case w.report <- func(c changes.Change) { report(c); w.began.Store(true) }:
			case <-ctx.Done():
				return nil
			}
			life := time.NewTicker(aliveFor / 4)
			defer life.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case err := <-w.failing:
					return err
				case <-life.C:
					if w.began.Load() {
						report(changes.Change{})
					}
				}
			}
		},
	}
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = append(w.read, what)
}

func (w *world) reads() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	read := w.read
	w.read = nil
	return read
}

func fakeHost(s *tenant.Set) *scope.Host {
	h := &scope.Host{}
	if s.Has("blue") {
		h.Tenants = append(h.Tenants, scope.Tenant{ID: "blue", Number: s.Number("blue"), Ports: []scope.Port{{Name: "blue-1", Index: 21, Device: 21}}})
	}
	h.Tenants = append(h.Tenants, scope.Tenant{
		ID: "red", Number: s.Number("red"), Devices: []scope.Device{{Name: "br-red", Index: 10}},
		Ports: []scope.Port{{Name: "red-1", Index: 11, Device: 10}, {Name: "red-2", Index: 12, Device: 10}},
	})
	return h
}

func tenants(t testing.TB) *tenant.Set {
	t.Helper()
	s, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Origin: "test", Ports: []string{"red-*"}, Bridges: []string{"br-red"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24")}},
		{ID: "blue", Origin: "test", Ports: []string{"blue-*"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the manager until the test ends.
func (w *world) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.m.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		if err := w.m.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// started runs the manager, with both tenants in those modes, until it has released.
func (w *world) started(red, blue flow.Mode) func(changes.Change) {
	w.t.Helper()
	w.m.SetTenants(tenants(w.t), map[string]flow.Mode{"red": red, "blue": blue})
	w.run()
	report := <-w.report
	report(changes.Change{Kind: changes.Everything, What: "the watch began"})
	w.await("hold false")
	return report
}

// await waits until something was done, and returns all that was until then.
func (w *world) await(what string) []string {
	w.t.Helper()
	return w.until(nil, what)
}

// until is await for something that may have been done already.
func (w *world) until(did []string, what string) []string {
	w.t.Helper()
	timeout := time.After(time.Minute)
	for {
		did = append(did, w.programs.take()...)
		if slices.Contains(did, what) {
			return did
		}
		select {
		case <-w.programs.changed:
		case <-timeout:
			w.t.Fatalf("%q was not done, but %q; problems: %v", what, did, w.m.Summary().Problems)
		}
	}
}

// place returns where something stands in a list.
func place(t *testing.T, did []string, what string) int {
	t.Helper()
	i := slices.Index(did, what)
	if i < 0 {
		t.Fatalf("%q is not among %q", what, did)
	}
	return i
}
