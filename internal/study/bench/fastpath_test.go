// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// pretended is a fast path that does nothing.
type pretended struct {
	at     lab.Shortcut
	set    []bool
	closed bool
	fails  error
}

func (p *pretended) Set(_ context.Context, fast bool) error {
	p.set = append(p.set, fast)
	return p.fails
}

func (p *pretended) Close() error { p.closed = true; return nil }

// Every second batch is the fast path's. Pings that did not take it are not in its figures, and said to be
// missing; those that come before a batch are in nobody's.
func TestFastStudyTakesTurns(t *testing.T) {
	cfg := tiny(t)
	p := &pretended{}
	cfg.FastPath = func(_ context.Context, host *netns.NS, at lab.Shortcut) (bench.FastPath, error) {
		p.at = at
		if !strings.HasSuffix(host.Name(), "-hypervisor") {
			t.Errorf("host %s", host.Name())
		}
		return p, nil
	}
	all, err := cfg.FastStudies(t.Context(), "routed", 7)
	if err != nil {
		t.Fatal(err)
	}
	if want := []bool{false, true, false, true}; !slices.Equal(p.set, want) || !p.closed || p.at.Port != "rovs-2" {
		t.Errorf("set to %v at %+v, closed: %t", p.set, p.at, p.closed)
	}
	for i, interval := range []time.Duration{cfg.Protocol.Interval, 0} {
		f := &all[i]
		if f.Interval != interval || f.Rules != 7 || f.Host != lab.Hypervisor || f.Fallen != 10 || f.Slow.Ping.Count != 10 || f.Fast.Ping.Count != 0 {
			t.Errorf("every %v: %d fallen, pings %+v and %+v", f.Interval, f.Fallen, f.Slow.Ping.Figures, f.Fast.Ping.Figures)
		}
		for name, m := range map[string]bench.Mode{"slow": f.Slow, "fast": f.Fast} {
			if c := m.Counts; c.Sent != 10 || c.Complete != 10 || m.RTT.Count != 10 {
				t.Errorf("%s: %+v, %d round trips", name, c, m.RTT.Count)
			}
		}
	}
	r := bench.Result{Fast: all}
	want := []string{"fast path in routed: only 0 of 10 pings took it", "fast path in routed, one after the other: only 0 of 10 pings took it"}
	if got := r.Troubles(); !slices.Equal(got, want) {
		t.Errorf("troubles %q", got)
	}
	checkNothingLeft(t)
}

func TestFastStudyThatFails(t *testing.T) {
	cfg := tiny(t)
	p := &pretended{fails: errors.New("not today")}
	cfg.FastPath = func(context.Context, *netns.NS, lab.Shortcut) (bench.FastPath, error) { return p, nil }
	if _, err := cfg.FastStudies(t.Context(), "bridge", 0); !errors.Is(err, p.fails) || !p.closed {
		t.Errorf("%v, closed: %t", err, p.closed)
	}
	cfg.FastPath = func(context.Context, *netns.NS, lab.Shortcut) (bench.FastPath, error) { return nil, p.fails }
	if _, err := cfg.FastStudies(t.Context(), "bridge", 0); !errors.Is(err, p.fails) {
		t.Error(err)
	}
	checkNothingLeft(t)
}

func TestCheckFastPath(t *testing.T) {
	t.Parallel()
	cfg := bench.Config{Protocol: bench.Protocol{Batches: 1, Count: 1}}
	for _, mode := range bench.FastModes() {
		if err := cfg.CheckFastPath(mode); err != nil {
			t.Error(err)
		}
	}
	if err := cfg.CheckFastPath("vxlan"); err == nil || !strings.Contains(err.Error(), "no host that forwards") {
		t.Error(err)
	}
	cfg.Protocol.Count = 65_535
	if err := cfg.CheckFastPath("bridge"); err == nil || !strings.Contains(err.Error(), "at most 65515") {
		t.Error(err)
	}
}
