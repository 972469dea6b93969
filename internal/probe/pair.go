// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/internal/wait"
)

// jitter is by which part of its interval the time of a ping varies at most, up and down, so
// that pings of many hosts do not keep in step, nor with what happens periodically.
const jitter = 0.05

// pair pings one target from one namespace.
type pair struct {
	key pairKey
	*Prober
	stop context.CancelFunc
	// id is the echo identifier, seq the last sequence number. It begins anywhere: pings that
	// are sent in the same microsecond with the same number would be one to the tracer.
	id, seq uint16

	at  sync.Mutex
	now Progress
}

func (p *Prober) newPair(key pairKey) *pair {
	n := &pair{key: key, Prober: p, seq: uint16(rand.Uint32())}
	for n.id == 0 {
		n.id = uint16(rand.Uint32())
	}
	return n
}

// run pings until ctx is done.
func (n *pair) run(ctx context.Context, where Namespaces) {
	interval := n.key.interval
	// Pairs that begin together are spread over an interval.
	next := time.Now().Add(time.Duration(n.options.random() * float64(interval)))
	for {
		due := next.Add(time.Duration((2*n.options.random() - 1) * jitter * float64(interval)))
		n.at.Lock()
		n.now.Next = due
		n.at.Unlock()
		if !wait.For(ctx, time.Until(due)) {
			return
		}
		n.once(ctx, where)
		next = next.Add(interval)
		if late := time.Since(next); late > 0 {
			n.skipped.Add(uint64(late / interval))
			next = next.Add(late)
		}
	}
}

// once pings once.
func (n *pair) once(ctx context.Context, where Namespaces) {
	ns, err := where.Open(n.key.inode)
	if err != nil { // it is gone, as the next plan will notice
		n.skipped.Add(1)
		return
	}
	defer ns.Close()
	// The namespace is open, so it is this one that is asked about: the kernel may have given the
	// number of one that is gone to another.
	if !n.key.of(where.NetNS(n.key.inode)) {
		n.skipped.Add(1)
		return
	}
	n.seq++
	p := ping{
		target: n.key.Target, id: n.id, seq: n.seq, timeout: n.key.timeout, payload: payload(n.key.size, time.Now()),
	}
	id := identify(n.options.Key, p.seq, p.payload)
	awaited := n.traces.begin(id, n.key.Series)
	rtt, err := n.options.send(ctx, ns, p)
	n.end(outcome(ctx, err), rtt, err)
	n.traces.end(id, awaited, outcome(ctx, err), rtt)
}

// end notes how a ping ended, unless it was aborted.
func (n *pair) end(o Outcome, rtt time.Duration, err error) {
	if o == Aborted {
		return
	}
	n.at.Lock()
	defer n.at.Unlock()
	n.now.Last, n.now.Ended, n.now.Why = o, time.Now(), ""
	if o == Answered {
		n.now.Answered, n.now.RTT = n.now.Ended, rtt
	} else {
		n.now.Why = err.Error()
	}
}

// progress returns how its pings go.
func (n *pair) progress() Progress {
	n.at.Lock()
	defer n.at.Unlock()
	return n.now
}
