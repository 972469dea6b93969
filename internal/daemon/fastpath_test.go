// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// fakeFastPath notes what it is told.
type fakeFastPath struct {
	fastPath // what no test asks for

	mu      sync.Mutex
	options accelerator.Options
	tenants []string
	modes   map[string]flow.Mode
	stats   accelerator.Stats
	summary accelerator.Summary
	runErr  error
	// happened are "run", "rest" and "close", in order.
	happened []string
}

func (f *fakeFastPath) open(o accelerator.Options) (fastPath, error) {
	f.options = o
	return f, nil
}

func (f *fakeFastPath) SetTenants(s *tenant.Set, modes map[string]flow.Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tenants, f.modes = s.IDs(), maps.Clone(modes)
}

func (f *fakeFastPath) FirewallChanged(number uint32) { f.note(fmt.Sprintf("rules of %d", number)) }

func (f *fakeFastPath) SetTracing(map[string]*ebpf.Map) error { return nil }

func (f *fakeFastPath) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.happened = append(f.happened, what)
}

func (f *fakeFastPath) Run(ctx context.Context) error {
	f.note("run")
	<-ctx.Done()
	f.note("rest")
	return f.runErr
}

func (f *fakeFastPath) Stats() accelerator.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

func (f *fakeFastPath) Summary() accelerator.Summary {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.summary
}

func (f *fakeFastPath) Close() error {
	f.note("close")
	return nil
}

// are fails unless the tenants have these modes.
func (f *fakeFastPath) are(t *testing.T, want map[string]flow.Mode) {
	t.Helper()
	until(t, "the modes are as configured", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return maps.Equal(f.modes, want) && len(f.tenants) == len(want)
	})
}

// The fast path is told who the tenants are and what modes they have, at the start, by a reload and
// when a file changes. It runs from the start to the end, and rests before it is closed.
func TestFastPathFollowsTheConfiguration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tenants.d")
	text := "tenancy: {dir: " + dir + "}\nfastpath: {nics: [eth7], lease: 2s, flows_per_tenant: 5, pin: /p}\n"
	l := live(t, text+"tenants: [{id: first, ports: [tap0], fastpath: shadow}, {id: second, ports: [tap9]}]\n")
	path := l.path
	path.are(t, map[string]flow.Mode{"first": flow.Shadow, "second": flow.Off})
	want := accelerator.Options{NICs: []string{"eth7"}, Lease: 2 * time.Second, Capacity: 5, Pin: "/p", Log: l.daemon.log}
	if o := path.options; o.Lease != want.Lease || o.Capacity != want.Capacity || o.Pin != want.Pin || len(o.NICs) != 1 || o.NICs[0] != "eth7" || o.Log == nil {
		t.Errorf("%+v", o)
	}
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\nfastpath: on\n")
	path.are(t, map[string]flow.Mode{"first": flow.Shadow, "second": flow.Off, "red": flow.On})
	says(t, l.reload(text+"tenants: [{id: first, ports: [tap0], fastpath: on}]\n"), `changed=tenants`)
	path.are(t, map[string]flow.Mode{"first": flow.On, "red": flow.On})
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\nfastpath: fast\n") // refused: the earlier mode holds
	l.awaitLog("is not off, shadow or on")
	path.are(t, map[string]flow.Mode{"first": flow.On, "red": flow.On})
	says(t, l.reload(strings.Replace(text, "2s", "3s", 1)+"tenants: [{id: first, ports: [tap0], fastpath: off}]\n"), "need a restart", "fastpath.lease")
	path.are(t, map[string]flow.Mode{"first": flow.Off, "red": flow.On})
	path.runErr = errors.New("cannot take the last step")
	l.log.take()
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	says(t, l.log.String(), `msg="fast path" error="cannot take the last step"`)
	if diff := cmp.Diff([]string{"run", "rest", "close"}, path.happened); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// While it is not known who the tenants are, nobody has a fast path.
func TestFastPathOfUnknownTenants(t *testing.T) {
	dir := t.TempDir()
	tenantFile(t, dir, "red.yaml", "port: [tap1]\nfastpath: on\n")
	l := live(t, "tenancy: {dir: "+dir+"}\ntenants: [{id: first, ports: [tap0], fastpath: on}]\n")
	l.path.are(t, map[string]flow.Mode{})
	tenantFile(t, dir, "red.yaml", "ports: [tap1]\nfastpath: on\n")
	l.path.are(t, map[string]flow.Mode{"first": flow.On, "red": flow.On})
}

// What is wrong is logged once for as long as it is, and counted in the line for the service
// manager.
func TestFastPathProblems(t *testing.T) {
	log := &logBuffer{}
	path := &fakeFastPath{summary: accelerator.Summary{On: 2, Shadow: 1, Problems: []string{"eth0 has no program"}}}
	d, err := newDaemon(Options{Stderr: log}, parse(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	var p fastPath = path
	d.fastPath.Store(&p)
	for range 2 {
		d.logFastPath()
	}
	if n := strings.Count(log.take(), `msg="fast path" problem="eth0 has no program"`); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if got := d.fastPathStatus(); got != "; fast path of 2 tenants, 1 in shadow, 1 problems" {
		t.Error(got)
	}
	path.summary = accelerator.Summary{}
	d.logFastPath()
	says(t, log.take(), "no fast path has a problem any more")
	if got := d.fastPathStatus(); got != "" {
		t.Error(got)
	}
}

// Everything that the fast path counts is in the metrics, of tenants that have one.
func TestFastPathMetrics(t *testing.T) {
	counts := func(n uint64, r flow.Reason) accelerator.CountStats {
		return accelerator.CountStats{Fast: n, Bytes: n + 1, Same: n + 2, Differ: n + 3, Learnt: n + 4, Slow: map[flow.Reason]uint64{r: n + 5}, Unlearnt: map[flow.Reason]uint64{flow.State: n + 6}}
	}
	shown := func(n uint64, r string) metrics.FastPathCounts {
		return metrics.FastPathCounts{Fast: n, Bytes: n + 1, Same: n + 2, Differ: n + 3, Learnt: n + 4, Slow: map[string]uint64{r: n + 5}, Unlearnt: map[string]uint64{"state": n + 6}}
	}
	stats := accelerator.Stats{
		Supported: true, Attended: true, Held: true, HeldTime: 5, Changes: map[string]uint64{"rules": 6}, Unasked: 7, Blocked: 8, Unattached: 9, Problems: 10,
		Swept: 16, Unwatched: 17, Nobody: accelerator.CountStats{Slow: map[flow.Reason]uint64{flow.Unknown: 18}, Unlearnt: map[flow.Reason]uint64{flow.Differs: 19}},
		Tenants: []accelerator.TenantStats{
			{Tenant: "blue", Mode: flow.Off},
			{Tenant: "red", Mode: flow.On, Flows: 11, Capacity: 12, From: counts(20, flow.Lease), To: counts(30, flow.Fragment), Approved: 13, PutOff: 14, Refused: map[flow.Reason]uint64{flow.Forbidden: 15}},
		},
	}
	want := &metrics.FastPath{
		Supported: true, Attended: true, Held: true, HeldTime: 5, Changes: map[string]uint64{"rules": 6}, Unasked: 7, Blocked: 8, Unattached: 9, Problems: 10,
		Swept: 16, Unwatched: 17, Nobody: map[string]uint64{"unknown": 18}, NobodyUnlearnt: map[string]uint64{"differs": 19},
		Tenants: []metrics.TenantFastPath{{
			Tenant: "red", On: true, Flows: 11, Capacity: 12, From: shown(20, "lease"), To: shown(30, "fragment"), Approved: 13, PutOff: 14, Refused: map[string]uint64{"forbidden": 15},
		}},
	}
	if diff := cmp.Diff(want, fastPathMetrics(stats)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stats.Tenants = stats.Tenants[:1]
	if got := fastPathMetrics(stats); got != nil {
		t.Errorf("nobody has one, and there is %+v", got)
	}
	if (&daemon{}).fastPathStats() != nil {
		t.Error("there is a fast path before there is one")
	}
}

// A change of rules is told to the fast path, once there is one.
func TestFastPathIsToldOfRules(t *testing.T) {
	var d daemon
	d.firewallChanged(6)
	path := &fakeFastPath{}
	var p fastPath = path
	d.fastPath.Store(&p)
	d.firewallChanged(7)
	if diff := cmp.Diff([]string{"rules of 7"}, path.happened); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The directory of programs is that of the configuration, or the default if there is none.
func TestFastPathPin(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dwell.yaml")
	if pin, err := FastPathPin(Options{File: file}); err != nil || pin != config.Default().FastPath.Pin {
		t.Errorf("%q, %v", pin, err)
	}
	for text, want := range map[string]string{"": config.Default().FastPath.Pin, "fastpath: {pin: /sys/fs/bpf/x}": "/sys/fs/bpf/x", "fastpath: {pin: x}": ""} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if pin, err := FastPathPin(Options{File: file}); pin != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, pin, err)
		}
	}
}
