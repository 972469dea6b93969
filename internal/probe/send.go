// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/echo"
	"github.com/dwelltrace/dwell/internal/netns"
)

// sender sends one ping and waits for the reply, which it returns the round-trip time of.
type sender func(ctx context.Context, ns *netns.NS, p ping) (time.Duration, error)

// ping is what is sent.
type ping struct {
	target  netip.Addr
	id, seq uint16
	payload []byte
	timeout time.Duration
}

// errLost is returned for a ping without a reply.
var errLost = errors.New("no reply in time")

// lastLook is how long a socket is read on after its deadline. If this process was kept from
// running, the reply may be in the socket already, and with a deadline in the past, Go does not
// read at all; what is there is read at once.
const lastLook = 50 * time.Millisecond

// largest is the size of the largest packet in bytes.
const largest = 1 << 16

// send is the sender that sends.
func send(ctx context.Context, ns *netns.NS, p ping) (time.Duration, error) {
	conn, err := echo.Open(ns, p.target, p.id)
	if errors.Is(err, fs.ErrPermission) {
		return 0, fmt.Errorf("the agent lacks CAP_NET_RAW or CAP_SYS_ADMIN, see docs/deployment.md: %w", err)
	}
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // its Receive says so
	sent := time.Now()
	if err := errors.Join(conn.SetReadDeadline(sent.Add(p.timeout)), conn.Send(p.seq, p.payload)); err != nil {
		return 0, errors.Join(ctx.Err(), cause(err))
	}
	looked := false
	buf := make([]byte, min(largest, len(p.payload)+headers))
	for {
		rep, err := conn.Receive(buf)
		var refused *echo.ICMPError
		switch {
		case err == nil && rep.Seq == p.seq && bytes.Equal(rep.Payload, p.payload):
			return rep.At.Sub(sent), nil
		case errors.As(err, &refused) && refused.Seq == p.seq && bytes.HasPrefix(p.payload, refused.Payload):
			return 0, refused
		case err == nil || errors.Is(err, echo.ErrOther): // somebody else's
		case errors.Is(err, os.ErrDeadlineExceeded) && !looked:
			looked = true
			if err := conn.SetReadDeadline(time.Now().Add(lastLook)); err != nil {
				return 0, errors.Join(ctx.Err(), err)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, errLost
		default:
			return 0, errors.Join(ctx.Err(), err)
		}
	}
}

// headers is what a packet may have before the payload of an echo, in bytes: IPv4 with options,
// and ICMP; and as much again if it is an error, which quotes the packet.
const headers = 2 * (60 + 8)

// outcome says how a ping ended.
func outcome(ctx context.Context, err error) Outcome {
	var refused *echo.ICMPError
	switch {
	case err == nil:
		return Answered
	case ctx.Err() != nil:
		return Aborted
	case errors.Is(err, errLost):
		return Lost
	case errors.As(err, &refused):
		return refusal(refused.Kind)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return NoRoute
	}
	return Failed
}

// refusal is the outcome of a ping that did not arrive.
func refusal(kind echo.Kind) Outcome {
	switch kind {
	case echo.TooBig:
		return TooBig
	case echo.TimeExceeded:
		return Expired
	}
	return Unreachable
}

// cause returns what the kernel said, without what Go says around it: which socket it was
// differs each time.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
