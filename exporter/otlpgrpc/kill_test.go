// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// The environment of the process that is killed.
const (
	victimDir      = "DWELL_TEST_VICTIM_DIR"
	victimEndpoint = "DWELL_TEST_VICTIM_ENDPOINT"
	victimFirst    = "DWELL_TEST_VICTIM_FIRST"
)

// killed are the options of the victim and of who comes after it. The spool is small,
// so that it reaches its limit, too.
func killed(dir, address string) otlpgrpc.Options {
	return otlpgrpc.Options{
		Endpoint: address, Backoff: quick, Timeout: time.Minute,
		Queue: exporter.Queue{Spans: 1000, BatchSpans: 100, Delay: 5 * time.Millisecond, Wait: time.Second},
		Spool: exporter.Spool{Dir: dir, MaxBytes: 8 << 20},
	}
}

// victim exports one trace after the other until it is killed. It writes an "s" before
// it opens the spool, and then a "b" before each trace and a "d" after it.
func victim() {
	seq, err := strconv.Atoi(os.Getenv(victimFirst))
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("s")
	e, err := otlpgrpc.New(killed(os.Getenv(victimDir), os.Getenv(victimEndpoint)))
	if err != nil {
		panic(err)
	}
	for ; seq < 1<<16; seq++ {
		os.Stdout.WriteString("b")
		_ = e.Export(context.Background(), []*trace.Trace{tracetest.Complete(uint16(seq))}) // what is dropped is counted
		os.Stdout.WriteString("d")
	}
	os.Exit(3) // nobody has killed us
}

// kill runs a victim and kills it when it has exported n traces; if that is none, while
// it works out what the one before has left. It returns how many exports have begun, and
// how many of those have returned.
func kill(t *testing.T, dir, address string, first, n int) (begun, done int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir, victimEndpoint+"="+address, victimFirst+"="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	progress := make([]byte, 1+2*n)
	if _, err := io.ReadFull(out, progress); err != nil {
		t.Errorf("the victim died by itself: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // "signal: killed"
	progress = append(progress, rest...)
	return bytes.Count(progress, []byte("b")), bytes.Count(progress, []byte("d"))
}

// TestKilled kills an exporter again and again at random moments, while the backend
// comes and goes. At the end everything that was ever taken over has arrived or is
// counted as lost, and what was lost by the kills is counted as that.
func TestKilled(t *testing.T) {
	t.Parallel()
	const kills = 8
	var away atomic.Bool
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if away.Load() || call%7 == 3 {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return accept(ctx, call)
	})
	dir := filepath.Join(t.TempDir(), "spool")
	begun, done := 0, 0
	for i := range kills {
		away.Store(i%3 != 0)
		n := rand.IntN(400)
		if i%4 == 3 {
			n = 0
		}
		b, d := kill(t, dir, s.address, begun, n)
		begun, done = begun+b, done+d
	}
	away.Store(false)
	e := start(t, killed(dir, s.address))
	settled(t, e)
	_ = e.Shutdown(t.Context()) // there were losses, as checked below
	checkLifetime(t, s, dir, begun, done)
}

// checkLifetime holds the account in dir against what was exported and what arrived.
func checkLifetime(t *testing.T, s *server, dir string, begun, done int) {
	t.Helper()
	sp, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	stats := sp.Lifetime()
	in := stats.Sent.Plus(stats.TotalLost())
	if in.Traces < int64(done) || in.Traces > int64(begun) || stats.Queued != (exporter.Count{}) {
		t.Errorf("%d to %d traces exported, %v accounted for: %+v", done, begun, in, stats)
	}
	s.mustBalance(t, in, stats)
	if stats.Lost["spool_corrupt"] != (exporter.Count{}) {
		t.Errorf("kills have damaged the spool: %+v", stats)
	}
	if stats.Lost["killed"] == (exporter.Count{}) {
		t.Errorf("nothing was lost in the memory of those who were killed: %+v", stats)
	}
	t.Log(fmt.Sprint(begun, " exported: "), stats.Sent, " arrived, lost ", stats.LostString())
}
