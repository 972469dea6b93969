// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/internal/check/otlpsink"
	"github.com/dwelltrace/dwell/internal/echo"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/wait"
)

// senders is how many identifiers the pings have that are accounted for; every other one is IPv6.
const senders = 4

// send pings at its share of the rate until ctx is done.
func (s *soak) send(ctx context.Context, n int) error {
	conn, err := echo.Open(s.guest, s.lab.Target(n%2 == 1), uint16(rand.Uint32())|1)
	if err != nil {
		return err
	}
	var reading sync.WaitGroup
	reading.Go(func() { readAll(conn) })
	defer reading.Wait()
	defer conn.Close()
	tick := time.NewTicker(time.Second * senders / time.Duration(s.rate))
	defer tick.Stop()
	for seq := uint16(0); ; seq++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		payload := echo.Payload(56, time.Now())
		// Two senders must not send the same at the same time: it would be one trace.
		payload[echo.TimeSize] = byte(n)
		id := otlpsink.ID(correlate.Identify(correlate.DefaultKey, seq, [event.PayloadPrefix]byte(payload)))
		s.ledger.sent(id)
		if err := conn.Send(seq, payload); err != nil {
			s.ledger.unsent(id)
			return fmt.Errorf("a ping cannot be sent: %w", err)
		}
	}
}

// readAll takes the replies: what a full socket drops would be a drop in the trace.
func readAll(conn *echo.Conn) {
	for buf := make([]byte, 1<<12); ; {
		if _, err := conn.Receive(buf); err != nil && !errors.Is(err, echo.ErrOther) {
			return
		}
	}
}

// The flood goes on for a while, and then not.
const floodFor, floodPause = 5 * time.Second, 15 * time.Second

// flood floods now and then until ctx is done.
func (s *soak) flood(ctx context.Context) error {
	_, guest := s.lab.NetNS(lab.Guest)
	for wait.For(ctx, floodPause/3) {
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", guest, "ping", "-q", "-f", "-w", strconv.Itoa(int(floodFor.Seconds())), s.lab.Target(false).String())
		if out, err := cmd.CombinedOutput(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("flood: %w: %s", err, out)
		}
		s.mu.Lock()
		s.floods++
		s.mu.Unlock()
		if !wait.For(ctx, floodPause*2/3) {
			break
		}
	}
	return nil
}

// lives is how long a namespace of the churn is there.
const lives = 2 * time.Second

// churn makes namespaces and removes them until ctx is done. Each is probed while it is there.
func (s *soak) churn(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("%s-churn-%d", s.prefix, n)
		ns, err := netns.Create(name)
		if err != nil {
			return err
		}
		up := ns.Do(func() error {
			out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		wait.For(ctx, lives)
		if err := errors.Join(up, ns.Close(), netns.Delete(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		s.mu.Lock()
		s.churned++
		s.mu.Unlock()
	}
	return nil
}
