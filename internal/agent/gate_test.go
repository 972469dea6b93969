// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// The summary of iputils' ping.
var pingCounts = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// outcomes counts traces by identifier and outcome.
type outcomes map[uint16]map[string]int

func (o outcomes) add(t *trace.Trace) {
	of := o[t.Ping.ID]
	if of == nil {
		of = map[string]int{}
		o[t.Ping.ID] = of
	}
	of[t.Outcome.String()+string(t.Cause)]++
}

// One tenant floods for longer than the room for events lasts. The other's few pings are all
// traced, no event is lost, and what is shown of the flood is true.
func TestFloodTakesNothingFromOthers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opts   agent.Options
		length time.Duration
	}{
		{"as many as this machine can", agent.Options{}, 20 * time.Second},
		{"a rate", agent.Options{MaxRate: 500}, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := tenants(t)
			for attempt := 1; ; attempt++ {
				r := flooded(t, l, tt.opts, tt.length)
				if r.lost() == 0 || attempt == attempts {
					r.check(t)
					return
				}
				t.Logf("the machine kept the agent from its CPU in attempt %d: %s", attempt, r.sum)
			}
		})
	}
}

// attempts is how often a flood may lose events because other processes of the machine keep the
// agent from its CPU.
const attempts = 3

// onTheWay is how many pings of one process may be on their way at once: it sends the next when a
// reply has come, or after 10 ms.
const onTheWay = 20

const blueID, blueEvery = 4711, 100 * time.Millisecond

// flood is what came of one.
type flood struct {
	got  outcomes
	sent uint64
	blue *pinger.Report
	sum  agent.Summary
}

// flooded runs an agent while red floods and blue pings.
func flooded(t *testing.T, l *lab.Lab, opts agent.Options, length time.Duration) *flood {
	t.Helper()
	r := &flood{got: outcomes{}}
	opts.OnTrace = r.got.add
	r.sum = runAgent(t, l, opts, func() {
		var pings sync.WaitGroup
		pings.Go(func() { r.sent = floods(t, at(t, l, lab.Red), l.Target(false), length) })
		pings.Go(func() {
			r.blue = pingFrom(t, at(t, l, lab.Blue), pinger.Config{
				Target: l.Target(false), ID: blueID, Count: int(length / blueEvery), Interval: blueEvery,
			})
		})
		pings.Wait()
	})
	return r
}

// lost returns how many events were lost, apart from those that were left out on purpose.
func (r *flood) lost() uint64 {
	l := r.sum.Losses()
	return l.RingFull + l.Missed + l.Malformed + l.Evicted
}

// check fails unless nothing is lost, all pings are accounted for and what is shown is true.
func (r *flood) check(t *testing.T) {
	t.Helper()
	if r.lost() > 0 {
		t.Error(r.sum.Losses())
	}
	sent := float64(r.sent + uint64(len(r.blue.Echoes)))
	all := float64(r.sum.Pings() + r.sum.Gated.Pings)
	if r.sum.Gated.Pings == 0 || all < 0.95*sent || all > 1.05*sent {
		t.Errorf("%d pings were traced, %d were left out, and %.0f were sent", r.sum.Pings(), r.sum.Gated.Pings, sent)
	}
	for id, of := range r.got {
		// Those that are on their way when ping's time is over find no socket any more.
		sent, dropped := 0, of["dropped"]
		for _, n := range of {
			sent += n
		}
		if of["complete"] == 0 || of["complete"]+dropped != sent || dropped > onTheWay {
			t.Errorf("identifier %d: %v", id, of)
		}
	}
	if n := r.got[blueID]["complete"]; r.blue.Lost() > 0 || n != len(r.blue.Echoes) {
		t.Errorf("of blue's %d pings %d are complete", len(r.blue.Echoes), n)
	}
	t.Logf("red sent %d\n%s", r.sent, r.sum)
}

// tenants makes a lab with two tenants of the test's own.
func tenants(t *testing.T) *lab.Lab {
	t.Helper()
	privilegetest.BPF(t)
	l, err := lab.Up(t.Context(), "tenants", lab.Options{Prefix: fmt.Sprintf("dwt%d", os.Getpid())})
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

// runAgent runs an agent while do pings.
func runAgent(t *testing.T, l *lab.Lab, opts agent.Options, do func()) agent.Summary {
	t.Helper()
	opts.Filter.NetNS, opts.Hypervisors = inodes(l), inodes(l, lab.Hypervisor)
	a, err := start(opts)
	privilegetest.Kernel(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var sum agent.Summary
	var runs sync.WaitGroup
	runs.Go(func() { sum, err = a.Run(ctx) })
	do()
	cancel()
	runs.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// floods has several processes ping as fast as they can, and returns how many pings they sent.
func floods(t *testing.T, from *place, to netip.Addr, length time.Duration) (sum uint64) {
	var all sync.WaitGroup
	var sent [floodSenders]uint64
	for i := range sent {
		all.Go(func() {
			var out []byte
			err := from.Do(func() (err error) {
				seconds := strconv.Itoa(int(length.Seconds()))
				out, err = exec.Command("ping", "-n", "-q", "-f", "-w", seconds, to.String()).CombinedOutput()
				return err
			})
			m := pingCounts.FindSubmatch(out)
			if err != nil || m == nil {
				t.Errorf("ping: %v\n%s", err, out)
				return
			}
			sent[i], _ = strconv.ParseUint(string(m[1]), 10, 64)
		})
	}
	all.Wait()
	for _, n := range sent {
		sum += n
	}
	return sum
}

func pingFrom(t *testing.T, from *place, cfg pinger.Config) *pinger.Report {
	cfg.NetNS, cfg.Timeout = from.NS, unhurried
	r, err := pinger.Run(t.Context(), cfg)
	if err != nil {
		t.Error(err)
		return &pinger.Report{}
	}
	return r
}
