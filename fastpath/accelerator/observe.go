// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

const (
	// observeEvery is how often counts are read while packets are watched.
	observeEvery = 50 * time.Millisecond
	// observeMore is for how long packets are watched after the first was seen: those of the other
	// direction, and those after it.
	observeMore = 500 * time.Millisecond
)

// observe counts packets of flows for the time that was asked for, or until enough was seen.
func (m *Manager) observe(ctx context.Context, q WhyQuery, l *lister, p *pattern, pairs []pair, w *Why) error {
	m.mu.Lock()
	programs := m.programs
	m.mu.Unlock()
	if programs == nil {
		return nil
	}
	keys := l.keys(p, pairs)
	if len(keys) == 0 {
		return m.observeAll(ctx, q, w)
	}
	watched, err := m.faces.watched(programs, keys)
	if err != nil {
		return fmt.Errorf("watching packets: %w", err)
	}
	defer watched.Close()
	var seen map[flow.Key]bypass.WatchCounts
	w.Watched = whileWatching(ctx, q.Watch, func() bool {
		seen, err = watched.Read()
		for _, c := range seen {
			if c.Fast > 0 || len(c.Slow) > 0 {
				return true
			}
		}
		return err != nil
	})
	if err != nil {
		return fmt.Errorf("watching packets: %w", err)
	}
	for key, c := range seen {
		name := l.device(key.IfIndex)
		text, _ := packetOf(key.Tuple)
		w.Observed = append(w.Observed, observations(text, name, c.Fast, c.Slow)...)
	}
	sortObserved(w.Observed)
	return nil
}

// whileWatching waits until packets were seen, and a little longer, or for so long at most. It
// returns how long it was.
func whileWatching(ctx context.Context, limit time.Duration, seen func() bool) time.Duration {
	began := time.Now()
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	ticker := time.NewTicker(observeEvery)
	defer ticker.Stop()
	var first time.Time
	for {
		select {
		case <-ctx.Done():
			seen()
			return time.Since(began)
		case <-ticker.C:
		}
		now := time.Now()
		if seen() && first.IsZero() {
			first = now
		}
		if !first.IsZero() && now.Sub(first) >= observeMore {
			return time.Since(began)
		}
	}
}

// keys are those of packets to watch: of the flows that are known or, if there is none, of a flow that
// could be learnt at the tenant's ports.
func (l *lister) keys(p *pattern, pairs []pair) []flow.Key {
	var keys []flow.Key
	for _, pair := range pairs {
		for _, f := range []*flow.Flow{pair.forth, pair.back} {
			if f != nil && !l.hidden(f.Key.IfIndex) && len(keys) < bypass.MaxWatched {
				keys = append(keys, f.Key)
			}
		}
	}
	if len(pairs) > 0 || p.isEcho() || p.sport < 0 {
		return keys
	}
	there := flow.Tuple{Proto: p.proto, Src: p.src, Dst: p.dst, Sport: uint16(p.sport), Dport: uint16(p.dport)}
	back := flow.Tuple{Proto: p.proto, Src: p.dst, Dst: p.src, Sport: uint16(p.dport), Dport: uint16(p.sport)}
	for index := range l.names {
		for _, t := range []flow.Tuple{there, back} {
			if !l.hidden(index) && len(keys) < bypass.MaxWatched {
				keys = append(keys, flow.Key{IfIndex: index, Tuple: t})
			}
		}
	}
	return keys
}

// observeAll counts all packets of the tenant: those of the flow cannot be told from others yet.
func (m *Manager) observeAll(ctx context.Context, q WhyQuery, w *Why) error {
	counts := func() (from, to CountStats) {
		m.mu.Lock()
		defer m.mu.Unlock()
		r, slot := m.read(), m.slots.of[q.Tenant]
		return r.counts[countKey{slot, flow.FromTenant}], r.counts[countKey{slot, flow.ToTenant}]
	}
	from0, to0 := counts()
	var from, to CountStats
	w.Watched = whileWatching(ctx, q.Watch, func() bool {
		from, to = counts()
		from, to = from.minus(from0), to.minus(to0)
		return len(from.Slow) > 0 || len(to.Slow) > 0
	})
	w.Observed = append(observations("any from the tenant", "", from.Fast, from.Slow), observations("any to the tenant", "", to.Fast, to.Slow)...)
	sortObserved(w.Observed)
	return nil
}

func observations(packet, in string, fast uint64, slow map[flow.Reason]uint64) []Observation {
	var list []Observation
	add := func(r flow.Reason, n uint64) {
		if n > 0 {
			list = append(list, Observation{Packet: packet, In: in, Reason: r.String(), Text: sentence(r.Text()), Packets: n})
		}
	}
	add(flow.Fast, fast)
	for r, n := range slow {
		add(r, n)
	}
	return list
}

func sortObserved(list []Observation) {
	slices.SortFunc(list, func(a, b Observation) int {
		return cmp.Or(cmp.Compare(a.Packet, b.Packet), cmp.Compare(a.In, b.In), cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Reason, b.Reason))
	})
}
