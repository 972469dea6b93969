// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// packed notes how requests are compressed, and how long they are.
type packed struct {
	mu           sync.Mutex
	compressions []string
	wire, length int
}

// TagRPC implements [stats.Handler].
func (p *packed) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements [stats.Handler].
func (p *packed) HandleRPC(_ context.Context, s stats.RPCStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s := s.(type) {
	case *stats.InHeader:
		p.compressions = append(p.compressions, s.Compression)
	case *stats.InPayload:
		p.wire, p.length = p.wire+s.CompressedLength, p.length+s.Length
	}
}

// TagConn implements [stats.Handler].
func (p *packed) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (p *packed) HandleConn(context.Context, stats.ConnStats) {}

// TestCompression: what is set wins over the environment, which does not count where
// connections are shared, and two exporters on one connection need not compress alike.
func TestCompression(t *testing.T) {
	for _, test := range []struct {
		environment string
		set         exporter.Compression
		pooled      bool
		want        string
	}{
		{"", exporter.EnvironmentCompression, false, ""},
		{"gzip", exporter.EnvironmentCompression, false, "gzip"},
		{"", exporter.Gzip, false, "gzip"},
		{"gzip", exporter.Uncompressed, false, "identity"},
		{"gzip", exporter.EnvironmentCompression, true, ""},
		{"", exporter.Gzip, true, "gzip"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", test.environment)
		p := &packed{}
		s := serve(t, accept, grpc.StatsHandler(p))
		o := otlpgrpc.Options{Endpoint: "http://" + s.address, Compression: test.set, Timeout: time.Minute}
		var other *otlpgrpc.Exporter
		if test.pooled {
			o.Pool = new(otlpgrpc.Pool)
			plain := o
			plain.Compression = exporter.Uncompressed
			other = start(t, plain)
		}
		e := start(t, o)
		traces := pings(50)
		export(t, e, traces)
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		s.mustHave(t, traces)
		p.mu.Lock()
		if len(p.compressions) == 0 || p.compressions[0] != test.want && !(test.want == "identity" && p.compressions[0] == "") {
			t.Errorf("%+v: %q", test, p.compressions)
		}
		if small := p.wire < p.length/4; small != (test.want == "gzip") {
			t.Errorf("%+v: %d bytes of %d", test, p.wire, p.length)
		}
		t.Logf("%+v: %d bytes of %d", test, p.wire, p.length)
		p.mu.Unlock()
		if other != nil {
			if err := other.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
