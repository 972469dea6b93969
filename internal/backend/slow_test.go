// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// reader is a connection that reads a stream when the test says so.
type reader struct {
	conn  net.Conn
	lines *bufio.Scanner
}

func open(t *testing.T, s *setup, target string) *reader {
	t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: dwell\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is closed
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %+v, %v", target, resp, err)
	}
	r := &reader{c, bufio.NewScanner(resp.Body)}
	r.lines.Buffer(nil, 1<<20)
	return r
}

// count reads until the end of the stream.
func (r *reader) count(t *testing.T) (sent, lost uint64, end string) {
	t.Helper()
	for r.lines.Scan() {
		var l api.Line
		if err := json.Unmarshal(r.lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Note == nil:
			sent++
		case l.Note.End != nil:
			end = l.Note.End.Code
		default:
			lost += l.Note.Lost
		}
	}
	return sent, lost, end
}

// A reader that stops reading loses its own lines, all of which it is told of at the end, and
// keeps nobody waiting.
func TestSlowReader(t *testing.T) {
	hub := backend.NewHub(backend.HubOptions{QueueLines: 20})
	hub.SetTenants([]string{"red", "blue"})
	s := start(t, backend.ServerOptions{Hub: hub})
	slow := open(t, s, "/v1/tenants/red/traces")
	fast, err := s.client(t).Traces(t.Context(), "red", client.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()
	const rounds, each = 400, 10
	for i := range rounds {
		batch := make([]*trace.Trace, each)
		for j := range batch {
			batch[j] = tracetest.Complete(uint16(i*each + j))
		}
		hub.Take("red", batch)
		for n := 0; n < each; { // who reads gets all of it, one after the other
			line, note, err := fast.Next()
			switch {
			case err != nil:
				t.Fatal(err)
			case note != nil && note.Lost > 0:
				t.Fatalf("who reads has lost %d", note.Lost)
			case line != nil:
				n++
			}
		}
	}
	hub.SetTenants([]string{"blue"}) // ends the stream
	sent, lost, end := slow.count(t)
	if sent+lost != rounds*each || lost == 0 || sent == 0 || end != api.CodeRevoked {
		t.Errorf("%d sent, %d lost, end %q; %d were published", sent, lost, end, rounds*each)
	}
	shutdown(t, s.server) // a line is counted once it is sent, which may be after it was read
	if stats := s.server.Stats(); stats.LinesLost != lost || stats.LinesSent != sent+rounds*each {
		t.Errorf("the metrics say %d sent and %d lost", stats.LinesSent, stats.LinesLost)
	}
}

// Each loss is told where it was: the numbers of the pings before and after it differ by as
// much.
func TestLossesAreToldInPlace(t *testing.T) {
	hub := backend.NewHub(backend.HubOptions{QueueLines: 8})
	hub.SetTenants([]string{"red"})
	s := start(t, backend.ServerOptions{Hub: hub})
	r := open(t, s, "/v1/tenants/red/traces")
	const n = 6000
	for i := range n {
		hub.Take("red", []*trace.Trace{tracetest.Complete(uint16(i))})
	}
	go shutdown(t, s.server) // sends what waits, and the end
	next, losses := uint64(0), 0
	for r.lines.Scan() {
		var l struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []struct{ Name, TraceID string }
				}
			}
			Dwell *api.Note
		}
		if err := json.Unmarshal(r.lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Dwell != nil {
			if next += l.Dwell.Lost; l.Dwell.Lost > 0 {
				losses++
			}
			continue
		}
		want := tracetest.Complete(uint16(next)).ID.String()
		if got := l.ResourceSpans[0].ScopeSpans[0].Spans[0].TraceID; got != want {
			t.Fatalf("after %d lines comes trace %s, want %s", next, got, want)
		}
		next++
	}
	if next != n || losses == 0 {
		t.Errorf("%d of %d are accounted for, %d losses", next, n, losses)
	}
}

// Those who may no longer see a tenant are not sent what was queued before.
func TestRevokedReaderGetsNoMore(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	r := open(t, s, "/v1/tenants/red/traces")
	hub := s.hub
	const n = 300 // fits into the queue
	for i := range n {
		hub.Take("red", []*trace.Trace{tracetest.Complete(uint16(i))})
	}
	p := policy()
	p.Operators.UIDs = nil // the test is nobody any more
	commit(t, s, p)
	hub.Take("red", some(1))
	sent, lost, end := r.count(t)
	if sent+lost != n || lost == 0 || end != api.CodeRevoked {
		t.Errorf("%d sent, %d lost, end %q", sent, lost, end)
	}
}

// A stream has what was asked for.
func TestFilters(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	all := tracetest.All()
	s.hub.Take("red", all)
	for query, want := range map[string]func(*trace.Trace) bool{
		"outcome=dropped":  func(tr *trace.Trace) bool { return tr.Outcome == trace.Dropped },
		"outcome=complete": func(tr *trace.Trace) bool { return tr.Outcome == trace.Complete },
		"slower_than=40us": func(tr *trace.Trace) bool { rtt, ok := tr.RTT(); return ok && rtt > 40_000 },
		"slower_than=1h":   func(*trace.Trace) bool { return false },
		"outcome=complete&slower_than=40us": func(tr *trace.Trace) bool {
			rtt, ok := tr.RTT()
			return ok && rtt > 40_000 && tr.Outcome == trace.Complete
		},
	} {
		n := 0
		for _, tr := range all {
			if want(tr) {
				n++
			}
		}
		r := open(t, s, "/v1/tenants/red/traces?last=1000&"+query)
		r.lines.Scan() // the stream is open: what comes now is not replayed
		s.hub.Take("red", all)
		got := 0
		for got < 2*n && r.lines.Scan() {
			got++
		}
		if got != 2*n {
			t.Errorf("%s: %d lines, want %d", query, got, 2*n)
		}
		r.conn.Close()
	}
}

// Heartbeats come while nothing else does.
func TestHeartbeat(t *testing.T) {
	s := start(t, backend.ServerOptions{}.WithHeartbeat(time.Millisecond))
	r := open(t, s, "/v1/tenants/red/traces")
	for range 5 {
		var l api.Line
		if !r.lines.Scan() || json.Unmarshal(r.lines.Bytes(), &l) != nil || l.Note == nil || l.Note.Time.IsZero() {
			t.Fatalf("%s", r.lines.Bytes())
		}
	}
}

// Streams come and go while traces are published and tenants change.
func TestConcurrently(t *testing.T) {
	s := start(t, backend.ServerOptions{Limits: backend.Limits{ClientRate: 1 << 20, ClientBurst: 1 << 20, ClientStreams: 100, ClientRequests: 100, ClientConnections: 100}})
	done := make(chan struct{})
	var publishing, asking sync.WaitGroup
	publishing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			s.hub.Take("red", some(5))
			s.hub.Operator(some(5))
			s.hub.SetTenants([][]string{{"red", "blue"}, {"red"}, {"blue"}, {}}[i%4])
		}
	})
	for range 4 {
		asking.Go(func() {
			for range 20 {
				for _, path := range append(ownPaths("red"), append(operatorPaths(), api.PathTenants)...) {
					if a := ask(s.socket, path); a.Err != "" || a.Status >= 500 {
						t.Errorf("%s: %+v", path, a)
					}
				}
			}
		})
	}
	asking.Wait()
	close(done)
	publishing.Wait()
}
