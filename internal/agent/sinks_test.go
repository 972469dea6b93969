// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// stuck is an exporter that takes nothing until it is told to give up.
type stuck struct{ exporter.Multi }

func (stuck) Export(ctx context.Context, _ []*trace.Trace) error {
	<-ctx.Done()
	return ctx.Err()
}

func (stuck) Shutdown(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// An exporter that is stuck in Export does not keep the run from ending.
func TestStuckExporterIsGivenUp(t *testing.T) {
	l := bridge(t)
	opts := agent.Options{
		Filter: bpf.Filter{NetNS: inodes(l)}, Count: 3, IdleTimeout: 500 * time.Millisecond,
		Open: func() (agent.Sinks, error) { return agent.Sinks{Exporter: stuck{}}, nil },
	}
	a, err := agent.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := a.Run(ctx)
		done <- err
	}()
	ping(t, l, pinger.Config{Count: 10, Interval: time.Millisecond})
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	case <-time.After(unhurried):
		t.Fatal("does not end")
	}
}

// What cannot begin opens nothing; what cannot be opened leaves nothing behind.
func TestOpenIsLast(t *testing.T) {
	privilegetest.BPF(t)
	opened := 0
	open := func() (agent.Sinks, error) {
		opened++
		return agent.Sinks{}, errNotSent
	}
	for name, opts := range map[string]agent.Options{
		"interface": {Filter: bpf.Filter{Interfaces: []string{"a-name-that-is-too-long"}}},
		"ring":      {BPF: bpf.Options{RingBytes: 2 << 30}},
	} {
		opts.Open = open
		if _, err := agent.Start(opts); err == nil || opened != 0 {
			t.Errorf("%s: %v, opened %d times", name, err, opened)
		}
	}
	// Not every kernel can time the host's own chains.
	opts := agent.Options{Scope: agent.Scope{Netfilter: []string{agent.NoNetfilter}}, Open: open}
	if _, err := agent.Start(opts); !errors.Is(err, errNotSent) || opened != 1 {
		t.Errorf("%v, opened %d times", err, opened)
	}
}

// Two pings with the same identifier, sequence number and payload are one for the
// kernel's filter; only the one that was asked for is handed on.
func TestAddressesChooseAmongTwins(t *testing.T) {
	l := bridge(t)
	wanted, other := l.Target(false), netip.MustParseAddr("192.168.122.1")
	pingBoth := func() {
		for _, to := range []netip.Addr{wanted, other} {
			ping(t, l, pinger.Config{Target: to, Count: 3, Interval: time.Millisecond, Size: pinger.NoPayload, ID: 4711})
		}
	}
	only := netip.PrefixFrom(wanted, wanted.BitLen())
	traces, sum := traced(t, l, agent.Options{Filter: bpf.Filter{Addresses: []netip.Prefix{only}}}, pingBoth)
	if len(traces) != 3 || sum.Complete != 3 || sum.Pings() != 3 {
		t.Errorf("%d traces; %s", len(traces), sum)
	}
	for _, tr := range traces {
		if tr.Ping.Dst != wanted {
			t.Errorf("trace of %s", tr.Ping)
		}
	}
	// Else they would not be twins.
	both := netip.PrefixFrom(traces[0].Ping.Src, 32)
	if _, sum := traced(t, l, agent.Options{Filter: bpf.Filter{Addresses: []netip.Prefix{both}}}, pingBoth); sum.Pings() != 6 {
		t.Error(sum)
	}
}
