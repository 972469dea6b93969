// SPDX-License-Identifier: Apache-2.0

// Package pinger sends ICMP and ICMPv6 echo requests from a network namespace
// and times the replies, as ping does: its packets are those of iputils, because the demo
// and the benchmarks must exercise just that. The socket is that of package echo.
package pinger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/internal/echo"
	"github.com/dwelltrace/dwell/internal/netns"
)

// The defaults of iputils ping.
const (
	DefaultSize          = 56
	DefaultInterval      = time.Second
	DefaultFloodInterval = 10 * time.Millisecond
	DefaultTimeout       = time.Second
)

// MaxSize is the largest payload in bytes.
const MaxSize = echo.MaxSize

// Config says what to send. Only Target must be set.
type Config struct {
	// NetNS is the namespace to send from; nil is that of the process. It must
	// stay open until Run returns.
	NetNS *netns.NS
	// Target is an IPv4 or IPv6 address without a zone.
	Target netip.Addr
	// Count is how many requests to send; 0 means until the context ends.
	Count int
	// Interval is the time from one request to the next. Default: DefaultInterval,
	// or DefaultFloodInterval with Flood.
	Interval time.Duration
	// Flood sends the next request as soon as the reply to the last is there, or
	// after Interval if there is none.
	Flood bool
	// FloodAfter is how many requests are Interval apart before the flood begins.
	FloodAfter int
	// Size is the length of the payload in bytes. Default: DefaultSize. NoPayload
	// stands for 0.
	Size int
	// ID is the echo identifier. Default: a random one.
	ID uint16
	// Timeout is how long to wait for replies after the last request. What is there by
	// then counts, even if this process was kept from taking it. Default: DefaultTimeout.
	Timeout time.Duration
	// OnReply, if set, is called for the first reply to each echo.
	OnReply func(Echo)
}

// NoPayload is the Size of an echo without payload.
const NoPayload = -1

func (c Config) withDefaults() (Config, error) {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
		if c.Flood {
			c.Interval = DefaultFloodInterval
		}
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	switch c.Size {
	case 0:
		c.Size = DefaultSize
	case NoPayload:
		c.Size = 0
	}
	for c.ID == 0 {
		c.ID = uint16(rand.Uint32())
	}
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case !c.Target.IsValid():
		return errors.New("ping: no target address")
	case c.Target.Zone() != "":
		return fmt.Errorf("ping %s: addresses with a zone are not supported; use a global address", c.Target)
	case c.Count < 0:
		return fmt.Errorf("ping: count %d is negative", c.Count)
	case c.Interval < 0 || c.Timeout < 0:
		return fmt.Errorf("ping: interval %s and timeout %s must not be negative", c.Interval, c.Timeout)
	case c.Size < 0 || c.Size > MaxSize:
		return fmt.Errorf("ping: size %d is not between 0 and %d bytes", c.Size, MaxSize)
	}
	return nil
}

// Run sends the requests and waits for the replies. If the context ends it
// returns early with what there is and without an error: a ping that is interrupted is
// not a failure.
//
// The error says why nothing could be sent at all; what befell single requests
// is in [Echo.Err]. It needs CAP_NET_RAW in the namespace, and CAP_SYS_ADMIN to
// enter it.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := echo.Open(cfg.NetNS, cfg.Target, cfg.ID)
	if err != nil {
		return nil, err
	}
	r := &run{
		cfg: cfg, conn: conn, report: &Report{ID: cfg.ID},
		open: map[uint16]int{}, replies: make(chan echo.Reply, 64),
	}
	received := make(chan error, 1)
	stop := make(chan struct{})
	go func() { received <- receive(conn, r.replies, stop) }()
	r.loop(ctx)
	close(stop)
	err = errors.Join(conn.Close(), <-received)
	r.drain()
	return r.report, err
}
