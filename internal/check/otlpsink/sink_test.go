// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request has spans of two traces, not next to each other.
func request() *collector.ExportTraceServiceRequest {
	span := func(id byte) *otlp.Span { return &otlp.Span{Name: "ping", TraceId: append(make([]byte, 15), id)} }
	scope := func(spans ...*otlp.Span) *otlp.ResourceSpans {
		return &otlp.ResourceSpans{ScopeSpans: []*otlp.ScopeSpans{{Spans: spans}}}
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{scope(span(1), span(2), span(1)), scope(span(2), span(2))}}
}

// What is taken is counted by trace; what is refused, or did not arrive, is not.
func TestSink(t *testing.T) {
	var mu sync.Mutex
	got := map[byte]int{}
	s := Sink{OnTrace: func(id ID, spans int) {
		mu.Lock()
		defer mu.Unlock()
		got[id[15]] += spans
	}}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := grpc.NewClient(s.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := collector.NewTraceServiceClient(conn)
	send := func() codes.Code {
		_, err := client.Export(t.Context(), request(), grpc.WaitForReady(true))
		return status.Code(err)
	}
	if code := send(); code != codes.OK {
		t.Errorf("answered with %v", code)
	}
	s.Behave(Behaviour{Code: codes.Unauthenticated})
	if code := send(); code != codes.Unauthenticated {
		t.Errorf("answered with %v", code)
	}
	s.Behave(Behaviour{Delay: 20 * time.Millisecond})
	begin := time.Now()
	if code := send(); code != codes.OK || time.Since(begin) < 20*time.Millisecond {
		t.Errorf("answered with %v after %v", code, time.Since(begin))
	}
	at := s.Address()
	s.Close()
	s.Close() // again is nothing
	if err := s.Listen(t.Context()); err != nil || s.Address() != at {
		t.Fatalf("listens at %s, and before at %s: %v", s.Address(), at, err)
	}
	for code := send(); code != codes.OK; code = send() {
		if code != codes.Unavailable || t.Context().Err() != nil {
			t.Fatalf("answered with %v after it was away", code)
		}
	}
	want := Counts{Requests: 3, Spans: 15, Refused: 1, Bytes: s.Counts().Bytes}
	if c := s.Counts(); c != want || got[1] != 6 || got[2] != 9 || c.Bytes == 0 {
		t.Errorf("counted %+v, want %+v; by trace %v", c, want, got)
	}
}

// What is no message does not stop the counting, nor is it counted.
func TestNoMessage(t *testing.T) {
	for _, b := range [][]byte{{0xff}, {0x0a, 0x05, 1}, {0x0a, 0x02, 0xff, 0xff}} {
		eachSpan(b, func(id ID) { t.Errorf("a span of %x in % x", id, b) })
	}
}

// A part of a request is counted as far as it goes.
func TestPartOfARequest(t *testing.T) {
	b, err := proto.Marshal(request())
	if err != nil {
		t.Fatal(err)
	}
	spans := func(b []byte) (n int) {
		eachSpan(b, func(ID) { n++ })
		return n
	}
	whole := spans(b)
	if whole != 5 {
		t.Errorf("%d spans, want 5", whole)
	}
	for i := range b {
		if n := spans(b[:i]); n > whole {
			t.Errorf("%d spans in %d of %d bytes", n, i, len(b))
		}
	}
}
