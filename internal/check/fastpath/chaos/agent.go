// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// said is a line that the agent's process writes.
type said struct {
	// Stalled is for how long the process did not run, up to At, in nanoseconds as of [time.Unix].
	At      int64         `json:"at"`
	Stalled time.Duration `json:"stalled,omitempty"`
	// Counts are there once in a while.
	Counts *counts `json:"counts,omitempty"`
	// Doubted are packets of which it was not said before.
	Doubted []doubted `json:"doubted,omitempty"`
}

// counts is what became of packets while one process was the agent.
type counts struct {
	Fast, Slow, Differ, Flows uint64
	Why                       map[string]uint64
	Problems                  []string
}

const (
	tick = 2 * time.Millisecond
	// stall is how late a tick is that is worth telling.
	stall      = 4 * time.Millisecond
	countEvery = 200 * time.Millisecond
)

// attend is the agent: the fast path of a hypervisor, as `dwell agent` keeps it, and nothing else.
func attend(ctx context.Context, namespace, pin string, lease time.Duration, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM)
	defer stop()
	ns, err := netns.OpenName(namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Bridges: []string{"br-red"}, Ports: []string{"red-*"}},
		{ID: "blue", Bridges: []string{"br-blue"}, Ports: []string{"blue-*"}},
	}, nil, []string{"ens3"})
	if err != nil {
		return err
	}
	doubts := &doubtLog{Handler: slog.NewTextHandler(os.Stderr, nil)}
	m, err := accelerator.New(accelerator.Options{
		Pin: pin, NetNS: ns, NICs: []string{"ens3"}, Lease: lease, Log: slog.New(doubts),
	})
	if err != nil {
		return err
	}
	m.SetTenants(set, map[string]flow.Mode{"red": flow.On, "blue": flow.On})
	lines := json.NewEncoder(out)
	var telling sync.WaitGroup
	var told error
	done := make(chan struct{})
	telling.Go(func() { told = tell(m, doubts, lines, done) })
	err = m.Run(ctx)
	close(done)
	telling.Wait()
	return errors.Join(err, told, lines.Encode(said{At: time.Now().UnixNano(), Counts: countsOf(m), Doubted: doubts.take()}), m.Close())
}

// tell says when the process did not run, and what became of packets.
func tell(m *accelerator.Manager, doubts *doubtLog, lines *json.Encoder, done <-chan struct{}) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last, counted, waited := time.Now(), time.Now(), map[string]time.Duration{}
	for {
		select {
		case <-done:
			return nil
		case <-ticker.C:
		}
		now, line := time.Now(), said{}
		// Another thread than this one may have waited for a CPU.
		if late := max(now.Sub(last)-tick, waits(os.Getpid(), waited)); late > stall {
			line.Stalled = late
		}
		if now.Sub(counted) > countEvery {
			line.Counts, line.Doubted, counted = countsOf(m), doubts.take(), now
		}
		last = now
		if line.Stalled == 0 && line.Counts == nil {
			continue
		}
		line.At = now.UnixNano()
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
}

func countsOf(m *accelerator.Manager) *counts {
	stats, c := m.Stats(), &counts{Why: map[string]uint64{}}
	for i := range stats.Tenants {
		t := &stats.Tenants[i]
		c.Flows += uint64(t.Flows)
		for _, n := range []*accelerator.CountStats{&t.From, &t.To} {
			c.Fast += n.Fast
			c.Differ += n.Differ
			for r, k := range n.Slow {
				c.Slow += k
				c.Why[r.String()] += k
			}
		}
		for r, k := range t.Refused {
			c.Why["refused: "+r.String()] += k
		}
	}
	c.Problems = m.Summary().Problems
	return c
}

// agent is the process.
type agent struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu      sync.Mutex // for what follows
	last    counts
	doubted []doubted
	stalls  []said
}

// start starts the agent of the world, in this program's own binary.
func (w *world) start(pin string, lease time.Duration) (*agent, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "attend", "--namespace", w.prefix+hypervisor, "--pin", pin, "--lease", lease.String())
	cmd.Env = append(os.Environ(), attendVariable+"=1")
	return startAgent(cmd)
}

// startAgent starts a command that is an agent, and listens to what it prints.
func startAgent(cmd *exec.Cmd) (*agent, error) {
	a := &agent{cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go a.listen(out)
	return a, nil
}

// attendVariable is set in the environment of the agent's process.
const attendVariable = "DWELL_CHAOS_ATTEND"

func (a *agent) listen(out io.Reader) {
	defer close(a.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var s said
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			continue
		}
		a.mu.Lock()
		if s.Counts != nil {
			a.last = *s.Counts
		}
		a.doubted = append(a.doubted, s.Doubted...)
		if s.Stalled > 0 {
			a.stalls = append(a.stalls, s)
		}
		a.mu.Unlock()
	}
}

// counts returns what was said last.
func (a *agent) counts() counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// doubts returns the packets that were excused.
func (a *agent) doubts() []doubted {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.doubted
}

// stalled returns for how long the process did not run between two moments.
func (a *agent) stalled(from, to time.Time) (sum time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.stalls {
		end := time.Unix(0, s.At)
		begin := end.Add(-s.Stalled)
		if begin.Before(to) && end.After(from) {
			sum += minTime(end, to).Sub(maxTime(begin, from))
		}
	}
	return sum
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// end ends the process: with a signal to stop, or at once.
func (a *agent) end(sig os.Signal) error {
	if err := a.cmd.Process.Signal(sig); err != nil {
		return err
	}
	<-a.done
	err := a.cmd.Wait()
	if sig == unix.SIGKILL {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the agent's process: %w", err)
	}
	return nil
}
