// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bridge makes a bridge lab of the test's own.
func bridge(t *testing.T) *lab.Lab {
	t.Helper()
	privilegetest.BPF(t)
	opts := lab.Options{Prefix: fmt.Sprintf("dwa%d", os.Getpid())}
	l, err := lab.Up(t.Context(), "bridge", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// inodes returns the namespaces of a lab, so that nobody else's pings are seen.
func inodes(l *lab.Lab, roles ...string) []uint32 {
	if len(roles) == 0 {
		roles = l.Topology().Roles()
	}
	var all []uint32
	for _, r := range roles {
		inode, _ := l.NetNS(r)
		all = append(all, inode)
	}
	return all
}

// unhurried is how long a test waits for what is going to come: a process that is kept from
// its CPU takes its replies late, and that is no loss.
const unhurried = time.Minute

// ping pings from the guest and returns the report, as soon as all is answered.
func ping(t *testing.T, l *lab.Lab, cfg pinger.Config) *pinger.Report {
	t.Helper()
	return pingUntil(t.Context(), t, l, cfg)
}

// pingUntil is ping, but no longer than until ctx is done.
func pingUntil(ctx context.Context, t *testing.T, l *lab.Lab, cfg pinger.Config) *pinger.Report {
	t.Helper()
	ns, err := l.Open(lab.Guest)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	cfg.NetNS = ns
	if !cfg.Target.IsValid() {
		cfg.Target = l.Target(false)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = unhurried
	}
	r, err := pinger.Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kernelTypes are read once for all tests: in an emulated machine that takes as long as a test.
var kernelTypes = btf.NewCache()

// start starts an agent with kernelTypes.
func start(opts agent.Options) (*agent.Agent, error) {
	opts.BPF.Types = kernelTypes
	return agent.Start(opts)
}

// traced runs an agent while do pings, and returns its traces.
func traced(t *testing.T, l *lab.Lab, opts agent.Options, do func()) ([]*trace.Trace, agent.Summary) {
	t.Helper()
	var traces []*trace.Trace
	opts.OnTrace = func(tr *trace.Trace) { traces = append(traces, tr) }
	if len(opts.Filter.NetNS) == 0 {
		opts.Filter.NetNS = inodes(l)
	}
	if opts.Timeout == 0 {
		opts.Timeout = unhurried
	}
	opts.Hypervisors = inodes(l, lab.Hypervisor)
	a, err := start(opts)
	privilegetest.Kernel(t, err) // the test may want netfilter
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		agent.Summary
		error
	}
	done := make(chan result)
	go func() {
		s, err := a.Run(ctx)
		done <- result{s, err}
	}()
	do()
	if opts.Count == 0 {
		cancel()
	}
	r := <-done
	cancel()
	if r.error != nil {
		t.Error(r.error)
	}
	return traces, r.Summary
}

// path lists the names of a trace's spans with their namespaces, without the lab's
// prefix.
func path(l *lab.Lab, tr *trace.Trace) []string {
	var out []string
	_, guest := l.NetNS(lab.Guest)
	prefix := strings.TrimSuffix(guest, lab.Guest)
	for i := range tr.Spans {
		s := &tr.Spans[i]
		out = append(out, strings.ReplaceAll(s.Name()+" @"+s.NetNS.Name, prefix, ""))
	}
	return out
}

func TestEveryPingIsOneCompleteTrace(t *testing.T) {
	l := bridge(t)
	for _, target := range []netip.Addr{l.Target(false), l.Target(true)} {
		t.Run(target.String(), func(t *testing.T) {
			var report *pinger.Report
			traces, sum := traced(t, l, agent.Options{}, func() {
				report = ping(t, l, pinger.Config{Target: target, Count: 20, Interval: time.Millisecond})
			})
			if len(traces) != 20 || sum.Complete != 20 || sum.Lost() != 0 || sum.Correlator.Late != 0 {
				t.Fatalf("%d traces; %s", len(traces), sum)
			}
			want := strings.Join(bridgePath(), "\n")
			for _, tr := range traces {
				if got := strings.Join(path(l, tr), "\n"); got != want {
					t.Fatalf("got\n%s\nwant\n%s", got, want)
				}
				// In the order in which they ended, which is not always that in which they were sent.
				echo := report.Echoes[tr.Ping.Seq-1]
				if root := time.Duration(tr.Root().Duration()); root <= 0 || root > echo.RTT() {
					t.Errorf("root took %v, the pinger waited %v", root, echo.RTT())
				}
				if start := time.Unix(0, tr.Root().Start); start.Before(echo.Sent.Add(-time.Millisecond)) ||
					start.After(echo.Received.Add(time.Millisecond)) {
					t.Errorf("root began at %v, sent at %v", start, echo.Sent)
				}
			}
		})
	}
}

// bridgePath is the trace model's example, as the lab gives it.
func bridgePath() []string {
	return []string{
		"ping @guest",
		"echo request @guest",
		"transmit brovsns-ns @guest",
		"link brovsns-ns -> brovsns-br @guest",
		"bridge ovs-br @hypervisor",
		"softirq wait @hypervisor",
		"stack @hypervisor",
		"hypervisor @hypervisor",
		"forward @hypervisor",
		"queue ens3 @hypervisor",
		"link ens3 -> outside0 @hypervisor",
		"deliver @outside",
		"softirq wait @outside",
		"stack @outside",
		"echo reply @outside",
		"transmit outside0 @outside",
		"link outside0 -> ens3 @outside",
		"hypervisor @hypervisor",
		"forward @hypervisor",
		"softirq wait @hypervisor",
		"stack @hypervisor",
		"queue ovs-br @hypervisor",
		"device ovs-br @hypervisor",
		"bridge ovs-br @hypervisor",
		"queue brovsns-br @hypervisor",
		"link brovsns-br -> brovsns-ns @hypervisor",
		"deliver @guest",
		"softirq wait @guest",
		"stack @guest",
	}
}

// What happens outside is not seen: the trace leads out on ens3 and in again.
func TestBeyondTheHypervisor(t *testing.T) {
	l := bridge(t)
	opts := agent.Options{Filter: bpf.Filter{NetNS: inodes(l, lab.Guest, lab.Hypervisor)}}
	traces, sum := traced(t, l, opts, func() { ping(t, l, pinger.Config{Count: 3, Interval: time.Millisecond}) })
	if sum.Complete != 3 {
		t.Fatal(sum)
	}
	for _, tr := range traces {
		got := strings.Join(path(l, tr), "\n")
		if !strings.Contains(got, "\ndriver ens3 @hypervisor\nbeyond ens3 @hypervisor\necho reply @hypervisor\n") {
			t.Errorf("got\n%s", got)
		}
	}
}

func TestCountEndsTheRun(t *testing.T) {
	l := bridge(t)
	traces, sum := traced(t, l, agent.Options{Count: 5}, func() {
		ping(t, l, pinger.Config{Count: 30, Interval: time.Millisecond})
	})
	if len(traces) != 5 || sum.Pings() != 5 {
		t.Errorf("%d traces, %s", len(traces), sum)
	}
}

// Pings with nothing in them are told apart by addresses, through the NAT.
func TestPingsWithoutPayload(t *testing.T) {
	l := bridge(t)
	traces, sum := traced(t, l, agent.Options{}, func() {
		ping(t, l, pinger.Config{Count: 10, Interval: time.Millisecond, Size: pinger.NoPayload})
	})
	if sum.Complete != 10 {
		t.Fatal(sum)
	}
	for _, tr := range traces {
		if !tr.Local || len(tr.Spans) != len(bridgePath()) {
			t.Errorf("local %v, spans:\n%s", tr.Local, strings.Join(path(l, tr), "\n"))
		}
	}
}

func TestFloodLosesNothing(t *testing.T) {
	l := bridge(t)
	_, sum := traced(t, l, agent.Options{}, func() { ping(t, l, pinger.Config{Count: 2000, Flood: true}) })
	if sum.Complete != 2000 || sum.Pings() != 2000 || sum.Lost() != 0 || len(sum.Dropped) != 0 {
		t.Error(sum)
	}
}

// A ring too small for the flood loses events: that is counted, and no trace that was
// open then passes for complete.
func TestRingLossIsSaid(t *testing.T) {
	l := bridge(t)
	// One page holds the events of two pings, and the backlog those of six, as long as
	// nobody reads them.
	pinged := make(chan struct{})
	hold := sync.OnceFunc(func() { <-pinged })
	opts := agent.Options{BPF: bpf.Options{RingBytes: 4096}, OnEvent: func(*event.Event) { hold() }}
	_, sum := traced(t, l, opts, func() {
		defer close(pinged)
		ping(t, l, pinger.Config{Count: 50, Flood: true})
	})
	if sum.Lost() == 0 || sum.Incomplete[trace.CauseEventsLost] == 0 {
		t.Error(sum)
	}
	if !strings.Contains(sum.String(), "--ring-size") {
		t.Errorf("no remedy in %q", sum)
	}
}

func TestUnanswered(t *testing.T) {
	l := bridge(t)
	unused := netip.MustParseAddr("192.168.122.77")                        // the hypervisor's link, but nobody's
	at(t, l, lab.Hypervisor).sysctl("ipv4/neigh/ens3/app_solicit", "1000") // asks for it, and drops nothing
	traces, sum := traced(t, l, agent.Options{Count: 1, Timeout: 100 * time.Millisecond}, func() {
		ping(t, l, pinger.Config{Target: unused, Count: 1, Timeout: time.Millisecond})
	})
	if len(traces) != 1 || sum.Complete != 0 {
		t.Fatal(sum)
	}
	if c := traces[0].Cause; c != trace.CauseNoReply {
		t.Errorf("cause %q, %s", c, sum)
	}
}

// failing is an exporter that cannot send anything.
type failing struct{ exporter.Multi }

var errNotSent = errors.New("not sent")

func (failing) Shutdown(context.Context) error { return errNotSent }

func TestFailedExportIsAnError(t *testing.T) {
	l := bridge(t)
	a, err := start(agent.Options{
		Filter: bpf.Filter{NetNS: inodes(l)},
		Open:   func() (agent.Sinks, error) { return agent.Sinks{Exporter: failing{}}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Run(ctx); !errors.Is(err, errNotSent) {
		t.Errorf("error %v", err)
	}
}
