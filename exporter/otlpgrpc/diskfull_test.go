// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// TestFullDisk: what the disk does not take stays in memory; what finds no room there
// is counted; all else arrives when the backend is back.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := disktest.Small(t, "1m")
	var back atomic.Bool
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if !back.Load() {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return accept(ctx, call)
	})
	o := spooled(dir, s.address)
	o.Queue = exporter.Queue{Spans: 2000, BatchSpans: 200}
	var log logBuffer
	o.Logger = log.logger()
	e := start(t, o)
	traces := pings(500)
	n := 0
	for ; !strings.Contains(log.String(), "no space left"); n++ {
		_ = e.Export(t.Context(), traces[n:n+1]) // what is dropped is counted
		eventually(t, "a disk that takes it or not", func() bool {
			s := e.Stats()
			return s.Queued.Spans-s.Spooled.Spans < 500 || strings.Contains(log.String(), "no space left")
		})
	}
	if n > 200 {
		t.Fatalf("the disk has taken %d traces", n)
	}
	_ = e.Export(t.Context(), traces[n:]) // the same
	stats := e.Stats()
	if stats.SpoolBytes > 1<<20 || stats.Spooled.Spans < 1000 || stats.Queued.Spans-stats.Spooled.Spans < 1000 {
		t.Errorf("a full disk and a full queue: %+v", stats)
	}
	back.Store(true)
	settled(t, e)
	_ = e.Shutdown(t.Context()) // there were losses
	stats = e.Stats()
	s.mustBalance(t, exporter.CountOf(traces...), stats)
	if stats.Lost[exporter.CauseSpoolWrite] == (exporter.Count{}) {
		t.Errorf("nothing is counted as what the disk did not take: %+v", stats)
	}
	sp, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	if got := sp.Lifetime(); got.Sent != stats.Sent || got.TotalLost() != stats.TotalLost() {
		t.Errorf("the account on disk says %+v, that in memory %+v", got, stats)
	}
	sp.Close()
	for _, once := range []string{"no space left", "writes to the spool recovered", "export recovered"} {
		if strings.Count(log.String(), once) != 1 {
			t.Errorf("not logged once: %q\n%s", once, log.String())
		}
	}
}
