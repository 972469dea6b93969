// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/internal/check/traffic"
	"github.com/dwelltrace/dwell/internal/netns"
)

const (
	// pace is the time from one ping to the next, in the paper.
	pace = 10 * time.Millisecond
	// port is the outside's, of TCP and UDP.
	port = 5001
	// warmPings is how many packets at least are sent before it is looked at how many of them were fast.
	warmPings = 16
	// warmWithin is how long it may take until most packets of a side are fast, and that is what is
	// added for each flow.
	warmWithin = time.Minute
	warmFlow   = 300 * time.Microsecond
	// warmShare is how many of the packets have to be fast before a side is measured; of many flows
	// it is manyShare, because leases end while the others ping.
	warmShare = 0.9
	manyShare = 0.5
)

// ping measures round trips of so many flows.
func (s *scene) ping(ctx context.Context, d side, flows int) error {
	frames := d.lab.pings(flows)
	return s.pingAs(ctx, d, pingOf(flows), frames, max(flows, s.pings), 0)
}

// paced measures round trips as the paper did: caches cool down in between.
func (s *scene) paced(ctx context.Context, d side) error {
	return s.pingAs(ctx, d, pacedPing, d.lab.pings(1), s.pacedPings, pace)
}

func (s *scene) pingAs(ctx context.Context, d side, m measure, frames [][]byte, n int, pause time.Duration) error {
	wire := s.wires[d.lab]
	err := s.warm(ctx, d, len(frames), func() (int, error) {
		n := max(len(frames), warmPings)
		_, err := wire.Pings(repeated(frames, n), 0)
		return 2 * n, err
	})
	if err != nil {
		return err
	}
	var times []time.Duration
	why, err := d.during(func() (err error) { times, err = wire.Pings(repeated(frames, n), pause); return err })
	if err != nil {
		return err
	}
	s.results.add(m, d.name, micro(traffic.Quartiles(times)[1]), why)
	return nil
}

// repeated returns n of the frames, which begin anew if there are fewer.
func repeated(frames [][]byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = frames[i%len(frames)]
	}
	return all
}

// ask measures requests over TCP or UDP.
func (s *scene) ask(ctx context.Context, d side, m measure, over requester) error {
	var times []time.Duration
	var why counted
	at := netip.AddrPortFrom(d.lab.target(), port)
	_, err := over(d.lab.guest, d.lab.outside, at, 0, func(c *traffic.Conn) (err error) {
		if err := s.warmConn(ctx, d, c); err != nil {
			return err
		}
		why, err = d.during(func() (err error) { times, err = c.Ask(s.pings); return err })
		return err
	})
	if err != nil {
		return err
	}
	s.results.add(m, d.name, float64(time.Second)/float64(traffic.Quartiles(times)[1]), why)
	return nil
}

// requester is traffic.Requests or traffic.Datagrams.
type requester func(from, to *netns.NS, at netip.AddrPort, n int, ready func(*traffic.Conn) error) ([]time.Duration, error)

func (s *scene) warmConn(ctx context.Context, d side, c *traffic.Conn) error {
	return s.warm(ctx, d, 1, func() (int, error) {
		_, err := c.Ask(warmPings)
		return 2 * warmPings, err
	})
}

// tcpStream measures how much arrives of a stream, and what it costs of the CPUs.
func (s *scene) tcpStream(ctx context.Context, d side) error {
	return s.streamAs(ctx, d, throughput, cpuPerGbit)
}

// singleSegments is tcpStream where the guest sends one segment at a time: as many packets as on a wire have to be
// forwarded, and not one of 64 KiB for all of them.
func (s *scene) singleSegments(ctx context.Context, d side) error {
	if err := d.lab.maxSegments(1); err != nil {
		return err
	}
	err := s.streamAs(ctx, d, singleThroughput, singleCPU)
	return errors.Join(err, d.lab.maxSegments(maxSegments))
}

func (s *scene) streamAs(ctx context.Context, d side, much, costs measure) error {
	at := netip.AddrPortFrom(d.lab.target(), port)
	var spent, begun time.Duration
	var bytes uint64
	var took time.Duration
	why, err := d.during(func() (err error) {
		bytes, took, err = traffic.Stream(d.lab.guest, d.lab.outside, at, s.stream, func(c *traffic.Conn) (err error) {
			if err := s.warmConn(ctx, d, c); err != nil {
				return err
			}
			begun, err = busy()
			return err
		})
		if err == nil {
			spent, err = busy()
		}
		return err
	})
	if err != nil {
		return err
	}
	gbit := float64(bytes) * 8 / 1e9
	s.results.add(much, d.name, gbit/took.Seconds(), why)
	s.results.add(costs, d.name, float64((spent-begun).Microseconds())/1000/gbit, why)
	return nil
}

// warm has packets sent until most of them are fast, on dwell's fast path; on others, once. send
// returns how many packets passed the hypervisor.
func (s *scene) warm(ctx context.Context, d side, flows int, send func() (int, error)) error {
	if d.name != fast {
		_, err := send()
		return errors.Join(err, ctx.Err())
	}
	return untilFast(ctx, flows, d.during, func() (int, error) {
		n, err := send()
		return n, errors.Join(err, d.accel.err())
	})
}

// untilFast has packets of so many flows sent until most of them are fast. during returns what became of those that
// were sent meanwhile.
func untilFast(ctx context.Context, flows int, during func(func() error) (counted, error), send func() (int, error)) error {
	limit, share := warmWithin+time.Duration(flows)*warmFlow, warmShare
	if flows > 1 {
		share = manyShare
	}
	for deadline := time.Now().Add(limit); ; {
		packets := 0
		what, err := during(func() (err error) { packets, err = send(); return err })
		if err != nil {
			return err
		}
		if float64(what.fast) >= share*float64(packets) {
			return ctx.Err()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d packets are fast after %v: %s", what.fast, packets, limit, what)
		}
	}
}

// during returns what became of the packets while do ran.
func (d side) during(do func() error) (counted, error) {
	if d.accel == nil {
		return counted{}, do()
	}
	before, err := d.accel.counts()
	if err == nil {
		err = do()
	}
	if err != nil {
		return counted{}, err
	}
	after, err := d.accel.counts()
	return after.since(before), err
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
