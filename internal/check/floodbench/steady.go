// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dwelltrace/dwell/internal/wait"
)

const (
	// settling is for how long pings are sent before it is measured what they cost.
	settling = 2 * time.Second
	// perSender is how many pings a second one ping sends: one each 2 ms.
	perSender = 500
)

// paces is a list of pings a second, as a flag.
type paces []int

func (p *paces) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*p), " ", ","), "[]")
}

// Set implements [flag.Value].
func (p *paces) Set(text string) error {
	*p = nil
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return err
		}
		*p = append(*p, int(n))
	}
	return nil
}

// cost is what the agent needed while pings came at a steady pace.
type cost struct {
	pace    int
	scraped bool
	// events a second were read; user and system are CPU time a second.
	events, user, system float64
}

func (c cost) cores() float64 { return c.user + c.system }

// steadily measures the agent at each pace, and without pings also while its metrics are read once a
// second, and prints what it needs a second and what an event.
func (b *bench) steadily(ctx context.Context) error {
	fmt.Fprintf(b.out, "%9s %8s %11s %9s %9s %9s %9s\n",
		"pings/s", "scraped", "events/s", "cores", "µs/event", "user", "system")
	var plain []cost
	for _, pace := range b.steady {
		for _, scraped := range []bool{false, true} {
			if scraped && pace > 0 {
				continue
			}
			c, err := b.steadyCost(ctx, pace, scraped)
			if err != nil {
				return err
			}
			c.print(b.out)
			if !scraped {
				plain = append(plain, c)
			}
		}
	}
	if fixed, each, ok := split(plain); ok {
		fmt.Fprintf(b.out, "%.2f ms a second, and %.2f µs an event.\n", fixed*1e3, each*1e6)
	}
	return nil
}

// steadyCost measures the agent at one pace.
func (b *bench) steadyCost(ctx context.Context, pace int, scraped bool) (cost, error) {
	senders, ctx := errgroup.WithContext(ctx)
	for _, interval := range intervals(pace) {
		seconds := strconv.Itoa(int((b.duration + 2*settling).Seconds()))
		senders.Go(func() error {
			_, err := b.ping(ctx, "-i", interval, "-w", seconds)
			return err
		})
	}
	c, err := b.costNow(ctx, scraped)
	c.pace = pace
	return c, errors.Join(err, senders.Wait())
}

// intervals are those of the pings that together send so many a second, in seconds.
func intervals(pace int) []string {
	n := (pace + perSender - 1) / perSender
	each := make([]string, n)
	for i := range each {
		each[i] = strconv.FormatFloat(float64(n)/float64(pace), 'f', 3, 64)
	}
	return each
}

// costNow measures for as long as the benchmark is to take.
func (b *bench) costNow(ctx context.Context, scraped bool) (c cost, err error) {
	if !wait.For(ctx, settling) {
		return c, context.Cause(ctx)
	}
	first, err := b.sample(ctx)
	if err != nil {
		return c, err
	}
	before, err := usageOf(b.agent.PID())
	if err != nil {
		return c, err
	}
	if err := b.spend(ctx, scraped); err != nil {
		return c, err
	}
	after, err := usageOf(b.agent.PID())
	if err != nil {
		return c, err
	}
	last, err := b.sample(ctx)
	if err != nil {
		return c, err
	}
	if last.lost > first.lost || last.gated > first.gated {
		return c, fmt.Errorf("%.0f events were lost and %.0f left out", last.lost-first.lost, last.gated-first.gated)
	}
	seconds := after.at.Sub(before.at).Seconds()
	return cost{
		scraped: scraped, events: (last.events - first.events) / seconds,
		user: (after.user - before.user).Seconds() / seconds, system: (after.system - before.system).Seconds() / seconds,
	}, nil
}

// spend waits until the time is over, and reads the metrics meanwhile or not.
func (b *bench) spend(ctx context.Context, scraped bool) error {
	for end := time.Now().Add(b.duration); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if scraped {
			left = min(left, time.Second)
			if _, err := b.agent.Metrics(ctx); err != nil {
				return err
			}
		}
		if !wait.For(ctx, left) {
			return context.Cause(ctx)
		}
	}
}

func (c cost) print(w io.Writer) {
	scraped := "no"
	if c.scraped {
		scraped = "yes"
	}
	each := func(of float64) string {
		if c.events < 1 {
			return "-"
		}
		return strconv.FormatFloat(of/c.events*1e6, 'f', 2, 64)
	}
	fmt.Fprintf(w, "%9d %8s %11.0f %9.4f %9s %9s %9s\n", c.pace, scraped, c.events, c.cores(), each(c.cores()), each(c.user), each(c.system))
}

// split tells what is needed a second whatever comes from what each event needs, in seconds: the line
// that fits best (least squares). It takes two paces.
func split(costs []cost) (fixed, each float64, ok bool) {
	var x, y, xx, xy float64
	n := float64(len(costs))
	for _, c := range costs {
		x, y = x+c.events/n, y+c.cores()/n
	}
	for _, c := range costs {
		xx += (c.events - x) * (c.events - x)
		xy += (c.events - x) * (c.cores() - y)
	}
	if xx == 0 {
		return 0, 0, false
	}
	return y - xy/xx*x, xy / xx, true
}
