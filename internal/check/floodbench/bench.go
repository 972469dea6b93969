// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/dwelltrace/dwell/internal/check/agentproc"
	"github.com/dwelltrace/dwell/internal/check/otlpsink"
)

// bench is one flood.
type bench struct {
	config
	agent         *agentproc.Agent
	sink          *otlpsink.Sink
	guest, target string
	out           io.Writer

	// perPing is how many events one ping has.
	perPing float64
	// sent is how many pings the flood had.
	sent int
	// before and after are from the beginning and the end of the flood, samples from each second
	// of it.
	before, after sample
	samples       []sample
}

// calm is how many pings are sent to count the events of one.
const calm = 1000

func (b *bench) measure(ctx context.Context) error {
	// The first ones resolve neighbours, which takes another way.
	first, err := b.calmly(ctx, 100)
	if err != nil {
		return err
	}
	if b.before, err = b.calmly(ctx, calm); err != nil {
		return err
	}
	b.perPing = (b.before.seen() - first.seen()) / calm
	begin := time.Now()
	done := make(chan error, 1)
	go func() {
		var err error
		b.sent, err = b.ping(ctx, "-f", "-w", strconv.Itoa(int(b.duration.Seconds())))
		done <- err
	}()
	if err := b.watch(ctx, begin, done); err != nil {
		return err
	}
	b.after, err = b.settled(ctx, 0)
	b.after.at = time.Since(begin)
	return err
}

// calmly sends some pings and waits until all are traced.
func (b *bench) calmly(ctx context.Context, n int) (sample, error) {
	s, err := b.sample(ctx)
	if err != nil {
		return s, err
	}
	if _, err := b.ping(ctx, "-i", "0.002", "-c", strconv.Itoa(n)); err != nil {
		return s, err
	}
	return b.settled(ctx, s.pings+float64(n))
}

// watch takes a sample every second until the flood is over.
func (b *bench) watch(ctx context.Context, begin time.Time, done <-chan error) error {
	printHead(b.out)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	next := time.Duration(0)
	last := b.before
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		s, err := b.sample(ctx)
		if err != nil {
			return fmt.Errorf("after %v: %w", time.Since(begin).Round(time.Second), err)
		}
		s.at = time.Since(begin)
		b.samples = append(b.samples, s)
		if s.at >= next {
			s.print(b.out, last)
			last, next = s, s.at+b.every
		}
	}
}

// transmitted is in the summary of iputils' ping in the C locale.
var transmitted = regexp.MustCompile(`(\d+) packets transmitted`)

// ping floods in the guest and returns how many it sent.
func (b *bench) ping(ctx context.Context, args ...string) (int, error) {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", b.guest, "ping", "-q"}, append(args, b.target)...)...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	found := transmitted.FindStringSubmatch(out.String())
	if found == nil {
		return 0, fmt.Errorf("ping: %w: %s", err, out.String())
	}
	return strconv.Atoi(found[1])
}

// settled waits until so many pings are traced, none is open, no span waits and nothing is counted
// any more, and returns what was.
func (b *bench) settled(ctx context.Context, pings float64) (s sample, err error) {
	var since time.Time
	err = b.agent.Until(ctx, fmt.Sprintf("all pings are traced and sent, %.0f of them", pings), func() (bool, error) {
		before := s
		s, err = b.sample(ctx)
		if s.pings < pings || s.open > 0 || s.queued > 0 || s.seen() != before.seen() || s.sent != before.sent {
			since = time.Now()
		}
		return time.Since(since) > still, err
	})
	return s, err
}

// still is for how long nothing must have been counted: the agent reads its events and its
// counters several times a second.
const still = 3 * time.Second
