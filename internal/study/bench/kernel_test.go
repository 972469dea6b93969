// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// recorder is the agent, as cmd/dwell uses it.
type recorder struct{ *agent.Agent }

func (r recorder) Run(ctx context.Context) (bench.Recorded, error) {
	s, err := r.Agent.Run(ctx)
	return bench.Recorded{Events: s.Kernel.Total().Emitted, Lost: s.Lost()}, err
}

func start(s bench.Scope) (bench.Recorder, error) {
	a, err := agent.Start(agent.Options{
		Filter: bpf.Filter{NetNS: s.NetNS}, Hypervisors: s.Hypervisors, Netfilter: s.Netfilter,
		WithoutNetfilter: func(error) {}, OnTrace: s.OnTrace,
	})
	if err != nil {
		return nil, err
	}
	return recorder{a}, nil
}

// tiny is a study of 2 batches of 5 pings.
func tiny(t *testing.T) bench.Config {
	t.Helper()
	privilegetest.BPF(t)
	return bench.Config{
		Protocol: bench.Protocol{Batches: 2, Count: 5, Interval: time.Millisecond, Warmup: 2},
		Prefix:   prefix(), Start: start,
	}
}

func prefix() string { return fmt.Sprintf("dwb%d", os.Getpid()) }

// checkNothingLeft fails if a namespace of ours is there.
func checkNothingLeft(t *testing.T) {
	t.Helper()
	all, err := netns.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if strings.HasPrefix(e.Name, prefix()) {
			t.Errorf("%s is left", e.Name)
		}
	}
}

func TestTinyBench(t *testing.T) {
	cfg := tiny(t)
	for _, mode := range []string{"bridge-namespaces", "vxlan"} {
		m, err := cfg.Mode(t.Context(), mode)
		if err != nil {
			t.Fatal(err)
		}
		r := bench.Result{Modes: []bench.Mode{m}}
		if troubles := r.Troubles(); len(troubles) > 0 {
			t.Error(troubles)
		}
		if m.Counts.Complete != 10 || m.RTT.Count != 10 || m.Ping.P50 <= 0 || m.Ping.Min > m.RTT.Min {
			t.Errorf("%s: %+v, round trip %+v, ping %+v", mode, m.Counts, m.RTT.Figures, m.Ping.Figures)
		}
		for _, d := range m.Directions {
			var parts, whole int64
			for _, row := range d.Parts() {
				if row.Count != 10 || len(row.Batches) != 2 || row.Batches[0].Count != 5 {
					t.Errorf("%s, %s: row %+v", mode, d.Name, row)
				}
				parts += int64(row.Mean*10 + 0.5)
			}
			if whole = int64(d.Whole.Mean*10 + 0.5); parts != whole {
				t.Errorf("%s, %s: parts sum to %d ns, the whole is %d ns", mode, d.Name, parts, whole)
			}
		}
	}
	checkNothingLeft(t)
}

func TestIPv6(t *testing.T) {
	cfg := tiny(t)
	cfg.Protocol.IPv6 = true
	m, err := cfg.Mode(t.Context(), "routed")
	if err != nil {
		t.Fatal(err)
	}
	if m.Counts.Complete != 10 || !strings.Contains(m.Target, ":") {
		t.Errorf("%+v to %s", m.Counts, m.Target)
	}
	if err := cfg.Check("nat"); err == nil || !strings.Contains(err.Error(), "no IPv6") {
		t.Errorf("nat over IPv6: %v", err)
	}
}

// Ten thousand rules make a hypervisor visibly slower, and nothing else.
func TestRulesSlowTheHypervisor(t *testing.T) {
	cfg := tiny(t)
	for _, ipv6 := range []bool{false, true} {
		cfg.Protocol.IPv6 = ipv6
		s, err := cfg.Rules(t.Context(), "bridge", []int{0, 10000})
		if err != nil {
			t.Fatal(err)
		}
		r := bench.Result{Rules: []bench.RuleStudy{s}}
		if troubles := r.Troubles(); len(troubles) > 0 {
			t.Error(troubles)
		}
		for _, row := range s.Rows {
			if row.Path != "request/hypervisor" {
				continue
			}
			if none, many := row.Figures[0], row.Figures[1]; none.Count != 10 || many.Count != 10 || many.P50 < 2*none.P50 {
				t.Errorf("hypervisor without rules %+v, with 10000 %+v", none, many)
			}
		}
	}
	checkNothingLeft(t)
}

func TestCalibrate(t *testing.T) {
	cfg := tiny(t)
	c, err := cfg.Calibrate(t.Context(), "bridge")
	if err != nil {
		t.Fatal(err)
	}
	r := bench.Result{Calibration: []bench.Calibration{c}}
	if troubles := r.Troubles(); len(troubles) > 0 {
		t.Error(troubles)
	}
	if c.Counts.Complete != 20 || c.Counts.Stray != 0 {
		t.Errorf("counts %+v", c.Counts)
	}
	for _, a := range []bench.Arms{c.Paced, c.Flood} {
		if a.Untraced.Count != 10 || a.Looking.Count != 10 || a.Traced.Count != 10 {
			t.Errorf("round trips %+v", a)
		}
		if a.Few.Count != 10 || a.Many.Count != 10 || a.Few.Hooks < 2 || a.Few.Hooks >= a.Many.Hooks {
			t.Errorf("few %+v, many %+v", a.Few, a.Many)
		}
	}
	checkNothingLeft(t)
}

// However far it is, the end of the context ends it and leaves nothing.
func TestInterruptedLeavesNothing(t *testing.T) {
	cfg := tiny(t)
	cause := errors.New("interrupted by the test")
	parts := map[string]func(context.Context, bench.Config) error{
		"mode": func(ctx context.Context, c bench.Config) error { _, err := c.Mode(ctx, "bridge"); return err },
		"rules": func(ctx context.Context, c bench.Config) error {
			_, err := c.Rules(ctx, "bridge", []int{0, 9})
			return err
		},
		"calibrate": func(ctx context.Context, c bench.Config) error { _, err := c.Calibrate(ctx, "bridge"); return err },
	}
	for name, part := range parts {
		for _, after := range []int{0, 1, 7} {
			ctx, cancel := context.WithCancelCause(t.Context())
			n := 0
			cfg.OnPing = func() {
				if n++; n == after {
					cancel(cause)
				}
			}
			if after == 0 {
				cancel(cause)
			}
			if err := part(ctx, cfg); !errors.Is(err, cause) {
				t.Errorf("%s, after %d pings: %v", name, after, err)
			}
			cancel(nil)
			checkNothingLeft(t)
		}
	}
}

// A lab that somebody works in is neither used nor taken down.
func TestForeignLabIsLeftAlone(t *testing.T) {
	cfg := tiny(t)
	l, err := lab.Up(t.Context(), "nat", lab.Options{Prefix: cfg.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Down(context.WithoutCancel(t.Context()))
	if _, err := cfg.Mode(t.Context(), "nat"); err == nil || !strings.Contains(err.Error(), "--prefix") {
		t.Errorf("error %v", err)
	}
	if _, err := lab.Get("nat", lab.Options{Prefix: cfg.Prefix}); err != nil {
		t.Error(err)
	}
}

func TestRecordingThatDoesNotStart(t *testing.T) {
	cfg := tiny(t)
	broken := errors.New("no programs today")
	cfg.Start = func(bench.Scope) (bench.Recorder, error) { return nil, broken }
	if _, err := cfg.Mode(t.Context(), "bridge"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	checkNothingLeft(t)
}
