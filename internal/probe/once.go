// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Single sends pings one by one from a namespace to a target, as a prober does.
type Single struct {
	// NetNS is where they are sent; nil is the namespace of the process.
	NetNS  *netns.NS
	Target netip.Addr
	// Timeout is how long to wait for a reply, Size the length of the payload, at least MinSize.
	Timeout time.Duration
	Size    int
	// Key is the key of trace IDs. Default: correlate.DefaultKey.
	Key correlate.Key

	id, seq uint16
}

// Sent is how one ping went.
type Sent struct {
	Outcome Outcome
	// RTT is how long the reply took if there was one; Why says why there was none.
	RTT time.Duration
	Why string
	// Trace is the ID of its trace, if anybody traces it.
	Trace trace.ID
}

// Ping sends the next one and waits for what becomes of it.
func (s *Single) Ping(ctx context.Context) Sent {
	for s.id == 0 {
		s.id, s.seq = uint16(rand.Uint32()), uint16(rand.Uint32())
	}
	s.seq++
	p := ping{target: s.Target, id: s.id, seq: s.seq, timeout: s.Timeout, payload: payload(s.Size, time.Now())}
	rtt, err := send(ctx, s.NetNS, p)
	sent := Sent{Outcome: outcome(ctx, err), RTT: rtt, Trace: identify(s.Key, p.seq, p.payload)}
	if err != nil {
		sent.Why = err.Error()
	}
	return sent
}
