// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// crowd holds requests back until so many are there at the same time, again and again.
type crowd struct {
	want int

	mu         sync.Mutex
	here, most int
	full       chan struct{}
}

func (c *crowd) answer(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	c.here++
	c.most = max(c.most, c.here)
	full := c.full
	if c.here == c.want {
		c.here = 0
		close(full)
		c.full = make(chan struct{})
	}
	c.mu.Unlock()
	select {
	case <-full:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return accept(ctx, call)
}

// TestSeveralSenders: where a round trip is long, there are so many requests under way and no
// more, and nothing is sent twice for that. An endpoint that answers none before all are there
// would wait forever for who sends one at a time.
func TestSeveralSenders(t *testing.T) {
	t.Parallel()
	const senders = 5
	for name, dir := range map[string]string{"in memory": "", "with a spool": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &crowd{want: senders, full: make(chan struct{})}
			s := serve(t, c.answer)
			traces := pings(20 * senders)
			one := int(exporter.CountOf(traces[0]).Spans)
			e := start(t, otlpgrpc.Options{
				Endpoint: s.address, Backoff: quick, Timeout: time.Minute,
				Queue: exporter.Queue{BatchSpans: one, Senders: senders}, Spool: exporter.Spool{Dir: dir},
			})
			export(t, e, traces)
			settled(t, e)
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			s.mustHave(t, traces)
			s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
			if n := s.twice(); n != 0 {
				t.Errorf("%d spans have arrived twice", n)
			}
			if c.most != senders {
				t.Errorf("%d requests were under way at a time, want %d", c.most, senders)
			}
		})
	}
}
