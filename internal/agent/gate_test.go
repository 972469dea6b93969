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
			const blueID, blueEvery = 4711, 100 * time.Millisecond
			l := tenants(t)
			got := outcomes{}
			tt.opts.OnTrace = got.add
			var sent uint64
			var blue *pinger.Report
			sum := runAgent(t, l, tt.opts, func() {
				var pings sync.WaitGroup
				pings.Go(func() { sent = floods(t, at(t, l, lab.Red), l.Target(false), tt.length) })
				pings.Go(func() {
					blue = pingFrom(t, at(t, l, lab.Blue), pinger.Config{
						Target: l.Target(false), ID: blueID, Count: int(tt.length / blueEvery), Interval: blueEvery,
					})
				})
				pings.Wait()
			})
			checkGated(t, sum, sent+uint64(len(blue.Echoes)))
			for id, of := range got {
				if len(of) != 1 || of["complete"] == 0 {
					t.Errorf("identifier %d: %v", id, of)
				}
			}
			if n := got[blueID]["complete"]; blue.Lost() > 0 || n != len(blue.Echoes) {
				t.Errorf("of blue's %d pings %d are complete", len(blue.Echoes), n)
			}
			t.Logf("red sent %d\n%s", sent, sum)
		})
	}
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
	a, err := agent.Start(opts)
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

// checkGated checks that so many pings are accounted for, and that no event is lost but those
// that were left out on purpose.
func checkGated(t *testing.T, sum agent.Summary, sent uint64) {
	t.Helper()
	losses := sum.Losses()
	losses.Gated = 0
	if losses.RingFull+losses.Missed+losses.Malformed+losses.Evicted > 0 {
		t.Error(losses)
	}
	all := float64(sum.Pings() + sum.Gated.Pings)
	if want := float64(sent); sum.Gated.Pings == 0 || all < 0.95*want || all > 1.05*want {
		t.Errorf("%d pings were traced, %d were left out, and %d were sent", sum.Pings(), sum.Gated.Pings, sent)
	}
}
