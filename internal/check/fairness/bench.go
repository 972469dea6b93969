// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// blueID is the identifier of blue's pings.
const blueID = 4711

// result is what the rounds of one kind gave.
type result struct {
	// rtts are those of blue's pings that were answered.
	rtts []time.Duration
	// sent is how many blue sent, red how many red did.
	sent, red uint64
	// blue are blue's traces, complete those of them that are.
	blue, complete uint64
	// others are traces of red's, and untrue those of them that are not complete.
	others, untrue uint64
	// why has how those that are not complete ended.
	why []string
	// leftOut is how many pings were left out, about; lost how many events were lost.
	leftOut, lost uint64
}

// bench has tenants ping, traced or not.
type bench struct {
	config
	stderr io.Writer
	lab    *lab.Lab
}

func (b *bench) measure(ctx context.Context) (untraced, traced result, err error) {
	if b.lab, err = lab.Up(ctx, "tenants", lab.Options{Prefix: fmt.Sprintf("dwf%d", os.Getpid())}); err != nil {
		return untraced, traced, err
	}
	// Even if the context is done, the lab goes.
	defer func() { err = errors.Join(err, b.lab.Down(context.WithoutCancel(ctx))) }()
	for round := range b.rounds {
		fmt.Fprintf(b.stderr, "round %d of %d\n", round+1, b.rounds)
		if err := b.pings(ctx, &untraced); err != nil {
			return untraced, traced, err
		}
		if err := b.traced(ctx, &traced); err != nil {
			return untraced, traced, err
		}
	}
	return untraced, traced, nil
}

// traced runs an agent while the tenants ping.
func (b *bench) traced(ctx context.Context, r *result) error {
	opts := agent.Options{MaxRate: b.maxRate, Background: true, OnTrace: r.add}
	for _, role := range b.lab.Topology().Roles() {
		inode, _ := b.lab.NetNS(role)
		opts.Filter.NetNS = append(opts.Filter.NetNS, inode)
	}
	hypervisor, _ := b.lab.NetNS(lab.Hypervisor)
	opts.Hypervisors = []uint32{hypervisor}
	a, err := agent.Start(opts)
	if err != nil {
		return err
	}
	traces, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	var sum agent.Summary
	var ran error
	running.Go(func() { sum, ran = a.Run(traces) })
	err = b.pings(ctx, r)
	stop()
	running.Wait()
	r.leftOut += sum.Gated.Pings
	r.lost += sum.Lost()
	return errors.Join(err, ran)
}

// add counts a trace.
func (r *result) add(t *trace.Trace) {
	complete := t.Outcome == trace.Complete
	switch {
	case t.Ping.ID == blueID && complete:
		r.blue++
		r.complete++
	case t.Ping.ID == blueID:
		r.blue++
		r.why = append(r.why, "blue's "+ended(t))
	case complete:
		r.others++
	default:
		r.others++
		r.untrue++
		r.why = append(r.why, "red's "+ended(t))
	}
}

// ended says how a ping ended.
func ended(t *trace.Trace) string {
	return fmt.Sprintf("seq %d: %s %s%s", t.Ping.Seq, t.Outcome, t.Cause, t.DropReason)
}

// pings has red flood while blue pings.
func (b *bench) pings(ctx context.Context, r *result) error {
	var all sync.WaitGroup
	var mu sync.Mutex // guards what follows
	var failed error
	start := func(role string, args []string, take func(string) error) {
		all.Go(func() {
			out, err := b.ping(ctx, role, args)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = take(out)
			}
			failed = errors.Join(failed, err)
		})
	}
	for range b.senders {
		start(lab.Red, []string{"-q", "-f"}, func(out string) error {
			n, err := sent(out)
			r.red += n
			return err
		})
	}
	interval := strconv.FormatFloat(b.interval.Seconds(), 'f', -1, 64)
	start(lab.Blue, []string{"-e", strconv.Itoa(blueID), "-i", interval}, func(out string) error {
		n, err := sent(out)
		r.sent += n
		r.rtts = append(r.rtts, roundTrips(out)...)
		return err
	})
	all.Wait()
	return failed
}

// ping runs iputils' ping in a namespace for the length of a round.
func (b *bench) ping(ctx context.Context, role string, args []string) (string, error) {
	ns, err := b.lab.Open(role)
	if err != nil {
		return "", err
	}
	defer ns.Close()
	seconds := strconv.Itoa(int(b.length / time.Second))
	cmd := exec.CommandContext(ctx, "ping", append(args, "-n", "-w", seconds, b.lab.Target(false).String())...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/bin:/usr/bin:/sbin:/usr/sbin"}
	var out []byte
	if err := ns.Do(func() (err error) { out, err = cmd.Output(); return err }); err != nil {
		return "", fmt.Errorf("%s: %w", cmd, err)
	}
	return string(out), nil
}

// What iputils' ping prints in the C locale.
var (
	pingCount = regexp.MustCompile(`(\d+) packets transmitted`)
	pingTime  = regexp.MustCompile(`time=([\d.]+) ms`)
)

func sent(out string) (uint64, error) {
	m := pingCount.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no summary of iputils' ping in %q", out)
	}
	return strconv.ParseUint(m[1], 10, 64)
}

func roundTrips(out string) (rtts []time.Duration) {
	for _, m := range pingTime.FindAllStringSubmatch(out, -1) {
		if rtt, err := time.ParseDuration(m[1] + "ms"); err == nil {
			rtts = append(rtts, rtt)
		}
	}
	return rtts
}
