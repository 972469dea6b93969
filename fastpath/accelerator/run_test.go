// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/changes"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// TestStart wants nothing to be fast before changes are followed and everything was read, in this
// order.
func TestStart(t *testing.T) {
	w := newWorld(t)
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.On, "blue": flow.Shadow})
	w.run()
	report := <-w.report
	did := w.await("flush 0")
	<-w.programs.asking // everything else has begun
	if before := slices.Concat(did, w.programs.take()); slices.Contains(before, "beat") || slices.Contains(before, "hold false") || slices.Contains(before, "devices") {
		t.Fatalf("before changes are followed: %q", before)
	}
	report(changes.Change{Kind: changes.Everything, What: "the watch began"})
	did = append(did, w.await("hold false")...)
	order := []string{"open", "hold true", "changed []", "flush 0", "tenants", "devices", "approval 1", "beat", "hold false"}
	for i := range order[1:] {
		if place(t, did, order[i]) > place(t, did, order[i+1]) {
			t.Errorf("%s is not before %s in %q", order[i], order[i+1], did)
		}
	}
	if place(t, did, "lease 4s") > place(t, did, "hold false") {
		t.Errorf("the lease was not set: %q", did)
	}
	w.programs.mu.Lock()
	defer w.programs.mu.Unlock()
	wantTenants := []bypass.Tenant{
		{Slot: 1, Number: tenants(t).Number("blue"), Mode: flow.Shadow, Capacity: 100},
		{Slot: 2, Number: tenants(t).Number("red"), Mode: flow.On, Capacity: 100},
	}
	if !slices.Equal(w.programs.tenants, wantTenants) {
		t.Errorf("tenants %+v", w.programs.tenants)
	}
	wantDevices := []bypass.Device{
		{Index: 2, Name: "ens3"},
		{Index: 11, Name: "red-1", Port: true, Slot: 2},
		{Index: 12, Name: "red-2", Port: true, Slot: 2, Peer: true, PeerIndex: 5, PeerNetNS: 6},
		{Index: 21, Name: "blue-1", Port: true, Slot: 1},
	}
	if !slices.Equal(w.programs.devices, wantDevices) {
		t.Errorf("devices %+v", w.programs.devices)
	}
}

// TestBeginning wants it to be no problem that nothing is fast yet, unless that lasts.
func TestBeginning(t *testing.T) {
	w := newWorld(t)
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.On})
	check := func(when, blocked string, problems int) {
		t.Helper()
		s, err := w.m.Status(t.Context(), Query{Tenant: "red"})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Tenants[0].Blocked
		if blocked == "" && len(got) > 0 || blocked != "" && (len(got) != 1 || !strings.Contains(got[0], blocked)) {
			t.Errorf("%s: blocked: %q", when, got)
		}
		all := w.m.Summary().Problems
		if of := w.m.Stats().Tenants[1]; len(all) != problems || of.Tenant != "red" || of.Problems != problems {
			t.Errorf("%s: problems: %q, %+v", when, all, of)
		}
	}
	check("before it runs", "has just begun", 0)
	w.run()
	report := <-w.report
	check("before it knows the host", "has just begun", 0)
	w.m.mu.Lock()
	w.m.began = time.Now().Add(-beginsWithin)
	w.m.mu.Unlock()
	check("for too long", "does not follow the host's changes", 1)
	report(changes.Change{Kind: changes.Everything})
	w.await("hold false")
	check("when it has begun", "", 0)
}

// TestChange wants everything to be held as long as it is not known what a change means.
func TestChange(t *testing.T) {
	w := newWorld(t)
	report := w.started(flow.On, flow.On)
	w.reads()
	for _, kind := range []changes.Kind{changes.All | changes.Rules, changes.All | changes.Devices} {
		report(changes.Change{Kind: kind, What: "something"})
		// What is reported has had its effect when the report returns.
		did := w.programs.take()
		if place(t, did, "hold true") > place(t, did, "changed []") {
			t.Errorf("%s: %q", kind, did)
		}
		did = w.until(did, "hold false")
		if slices.ContainsFunc(did, func(s string) bool { return strings.HasPrefix(s, "approval") }) {
			t.Errorf("%s: the rules are the same, but all flows are asked about again: %q", kind, did)
		}
		want := "rules"
		if kind.Has(changes.Devices) {
			want = "host"
		}
		if read := w.reads(); !slices.Equal(read, []string{want}) {
			t.Errorf("%s: read %q", kind, read)
		}
	}
	w.mu.Lock()
	w.policy = &fakePolicy{}
	w.mu.Unlock()
	report(changes.Change{Kind: changes.All | changes.Rules, What: "a rule"})
	did := w.await("hold false")
	if place(t, did, "approval 2") > place(t, did, "hold false") {
		t.Errorf("other rules: %q", did)
	}
	stats := w.m.Stats()
	if stats.Changes["rules"] != 3 || stats.Changes["devices"] != 1 || stats.Held || stats.HeldTime <= 0 {
		t.Errorf("stats: %+v", stats)
	}
}

// TestChangeWhileReading wants nothing to be fast if something changes while it is read.
func TestChangeWhileReading(t *testing.T) {
	w := newWorld(t)
	report := w.started(flow.On, flow.Off)
	reading, resume := make(chan struct{}), make(chan struct{})
	w.mu.Lock()
	w.rules = func(context.Context) error { reading <- struct{}{}; <-resume; return nil }
	w.mu.Unlock()
	report(changes.Change{Kind: changes.All | changes.Rules, What: "one"})
	<-reading
	report(changes.Change{Kind: changes.All | changes.Rules, What: "two"})
	w.programs.take()
	resume <- struct{}{}
	<-reading // again
	if did := w.programs.take(); slices.Contains(did, "hold false") {
		t.Errorf("released with rules that were read before the second change: %q", did)
	}
	status, err := w.m.Status(t.Context(), Query{Operator: true})
	if err != nil || !status.Held || status.HeldBecause != "Two." || status.HeldFor <= 0 {
		t.Errorf("%+v, %v", status, err)
	}
	w.mu.Lock()
	w.rules = nil
	w.mu.Unlock()
	resume <- struct{}{}
	w.await("hold false")
}

// TestUnreadable wants everything to be slow while rules cannot be read, and to be fast when they can.
func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	report := w.started(flow.On, flow.On)
	failed := make(chan struct{}, 10)
	w.mu.Lock()
	w.rules = func(context.Context) error { failed <- struct{}{}; return errors.New("nft is drunk") }
	w.mu.Unlock()
	report(changes.Change{Kind: changes.All | changes.Rules, What: "a rule"})
	<-failed
	<-failed // tried again
	if did := w.programs.take(); slices.Contains(did, "hold false") {
		t.Errorf("released: %q", did)
	}
	status, err := w.m.Status(t.Context(), Query{Operator: true})
	if err != nil || !status.Held || !slices.Contains(status.Problems, "Reading the host's rules: nft is drunk.") {
		t.Errorf("%+v, %v", status, err)
	}
	w.mu.Lock()
	w.rules = nil
	w.mu.Unlock()
	w.await("hold false")
}

// TestUnwatched wants everything to be slow when changes are not followed any more, whatever it is that
// has ended, and to begin anew.
func TestUnwatched(t *testing.T) {
	for _, which := range []string{"watch", "candidates"} {
		w := newWorld(t)
		w.started(flow.On, flow.On)
		if which == "watch" {
			w.failing <- errors.New("no more memory")
		} else {
			w.programs.failAsk <- errors.New("no more memory")
		}
		w.await("rest")
		report := <-w.report
		report(changes.Change{Kind: changes.Everything})
		w.await("hold false")
		if n := w.m.Stats().Unwatched; n != 1 {
			t.Errorf("%s: unwatched %d times", which, n)
		}
	}
}

// TestStuck wants the heartbeat to stop if the loop is stuck while packets are fast.
func TestStuck(t *testing.T) {
	w := newWorld(t)
	if w.m.alive() {
		t.Error("it is alive although it does not run")
	}
	w.m.heart.sign(&w.m.heart.loop)
	w.m.heart.sign(&w.m.heart.watch)
	if !w.m.alive() {
		t.Error("it is not alive")
	}
	for _, part := range []*atomic.Int64{&w.m.heart.loop, &w.m.heart.watch} {
		last := part.Load()
		part.Store(time.Now().Add(-aliveFor).UnixNano())
		if w.m.alive() {
			t.Error("it is alive without a sign of life")
		}
		part.Store(last)
	}
}

// TestFirewall wants a change of a tenant's own rules to stop its flows before it returns.
func TestFirewall(t *testing.T) {
	w := newWorld(t)
	w.started(flow.On, flow.On)
	w.reads()
	w.m.FirewallChanged(tenants(t).Number("red"))
	did := w.programs.take()
	place(t, did, "hold true")
	place(t, did, "changed [2]")
	w.until(did, "hold false")
	if read := w.reads(); len(read) != 0 {
		t.Errorf("read %q for a tenant's own rules", read)
	}
	w.m.FirewallChanged(12345)
	did = w.programs.take()
	place(t, did, "changed []")
	w.until(did, "hold false")
}

// TestModes wants all flows to be asked about again in another mode, and everything to be taken away when
// nobody has a fast path any more.
func TestModes(t *testing.T) {
	w := newWorld(t)
	w.started(flow.Shadow, flow.Off)
	w.programs.mu.Lock()
	if len(w.programs.devices) != 3 {
		t.Errorf("blue's port has the programs: %+v", w.programs.devices)
	}
	w.programs.mu.Unlock()
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.On})
	did := w.programs.take()
	place(t, did, "hold true")
	place(t, w.until(did, "hold false"), "approval 2")
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.Off})
	place(t, w.await("close"), "rest")
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"blue": flow.On})
	report := <-w.report
	report(changes.Change{Kind: changes.Everything})
	w.await("hold false")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.removed != 1 {
		t.Errorf("removed %d times", w.removed)
	}
	w.programs.mu.Lock()
	defer w.programs.mu.Unlock()
	if len(w.programs.tenants) != 1 || w.programs.tenants[0].Slot != 2 {
		t.Errorf("blue has a number that red has had: %+v", w.programs.tenants)
	}
}

// TestNobody wants nothing to be opened for nobody, and what an earlier agent left to be removed.
func TestNobody(t *testing.T) {
	w := newWorld(t)
	w.m.SetTenants(tenants(t), nil)
	if err := w.m.runOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if did := w.programs.take(); len(did) != 0 || w.removed != 1 {
		t.Errorf("did %q, removed %d times", did, w.removed)
	}
}

// TestDown wants everything to be taken away at once, until tenants are set again.
func TestDown(t *testing.T) {
	w := newWorld(t)
	w.started(flow.On, flow.On)
	if err := w.m.Down(); err != nil {
		t.Fatal(err)
	}
	did := w.programs.take()
	place(t, did, "rest")
	place(t, did, "close")
	if w.removed == 0 {
		t.Error("not removed")
	}
	status, err := w.m.Status(t.Context(), Query{Operator: true})
	if err != nil || status.Attended || status.Tenants[0].Mode != flow.Off {
		t.Errorf("%+v, %v", status, err)
	}
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.On})
	report := <-w.report
	report(changes.Change{Kind: changes.Everything})
	w.await("hold false")
}

// TestUnsupported wants a kernel that cannot to be no error.
func TestUnsupported(t *testing.T) {
	w := newWorld(t)
	w.unsupported = errors.New("the kernel has no TCX: Linux 6.6 has")
	w.m.SetTenants(tenants(t), map[string]flow.Mode{"red": flow.On})
	if err := w.m.runOnce(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Fatal(err)
	}
	w.run()
	status, err := w.m.Status(t.Context(), Query{Tenant: "red"})
	if err != nil || status.Supported || status.Unsupported != "The kernel has no TCX: Linux 6.6 has." ||
		!slices.Equal(status.Tenants[0].Blocked, []string{status.Unsupported}) {
		t.Errorf("%+v, %v", status, err)
	}
	if did := w.programs.take(); len(did) != 0 {
		t.Errorf("did %q", did)
	}
}

// TestLost wants programs to be put back that somebody has detached, and what others attach without an
// announcement to be noticed.
func TestLost(t *testing.T) {
	w := newWorld(t)
	w.started(flow.On, flow.On)
	w.programs.mu.Lock()
	w.programs.lost = 11
	w.programs.mu.Unlock()
	w.m.gate.soil(dirtyDevices)
	w.m.rouse()
	w.await("devices")
	w.mu.Lock()
	w.facts.Devices = slices.Clone(w.facts.Devices)
	w.facts.Devices[0].Blocked = "somebody's XDP program is there"
	w.mu.Unlock()
	w.m.gate.soil(dirtyDevices)
	w.m.rouse()
	did := w.await("devices")
	if place(t, did, "hold true") > place(t, did, "devices") {
		t.Errorf("%q", did)
	}
	w.await("hold false")
	status, err := w.m.Status(t.Context(), Query{Operator: true})
	if err != nil || status.Devices[0].Blocked != "Somebody's XDP program is there." {
		t.Errorf("%+v, %v", status, err)
	}
}
