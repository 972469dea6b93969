// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// What is refused is refused with the right code, and counted.
func TestRefusalsAreCounted(t *testing.T) {
	socket := public(t)
	s := asRed(t, socket)
	const get, end = "GET ", " HTTP/1.1\r\nHost: dwell\r\nConnection: close\r\n\r\n"
	for request, want := range map[string]string{
		get + "/v1/tenants/blue" + end:                         api.CodeNotYours,
		get + "/v1/tenants/green" + end:                        api.CodeNotYours,
		get + "/v1/summary" + end:                              api.CodeNotYours,
		get + "/v1/tenants/.." + end:                           api.CodeBadRequest,
		get + "/v1/tenants/../tenants/blue" + end:              api.CodeNotFound,
		get + "/v1/tenants/red%2f..%2fblue" + end:              api.CodeBadRequest,
		get + "/v1/%74enants/red" + end:                        api.CodeBadRequest,
		get + "/v1/tenants/%62lue" + end:                       api.CodeBadRequest,
		get + "/v1/tenants/red%00" + end:                       api.CodeBadRequest,
		get + "/v1/tenants/r\xc3\xa9d" + end:                   api.CodeBadRequest,
		get + "/v1/tenants/" + strings.Repeat("a", 64) + end:   api.CodeBadRequest,
		get + "/v1/tenants/" + strings.Repeat("a", 9000) + end: api.CodeBadRequest,
		get + "/v1/tenants/" + end:                             api.CodeBadRequest,
		get + "//v1/tenants/red" + end:                         api.CodeNotFound,
		get + "/v1/tenants/red/" + end:                         api.CodeNotFound,
		get + "/v1/tenants/red/summary/x" + end:                api.CodeNotFound,
		get + "/" + end:                                        api.CodeNotFound,
		get + "/v1/tenants/red/traces/x" + end:                 api.CodeBadRequest,
		get + "/v1/tenants/red/traces/" + canaryID + end:       api.CodeUnknownTrace,
		get + "/v1/tenants/red?limit=1" + end:                  api.CodeBadRequest,
		get + "/v1/tenants/red/pings?limit=0" + end:            api.CodeBadRequest,
		get + "/v1/tenants/red/pings?limit=100001" + end:       api.CodeBadRequest,
		get + "/v1/tenants/red/pings?limit=" + end:             api.CodeBadRequest,
		get + "/v1/tenants/red/pings?limit=1&limit=2" + end:    api.CodeBadRequest,
		get + "/v1/tenants/red/pings?%zz" + end:                api.CodeBadRequest,
		get + "/v1/tenants/red/traces?outcome=lost" + end:      api.CodeBadRequest,
		get + "/v1/tenants/red/traces?slower_than=5" + end:     api.CodeBadRequest,
		get + "/v1/tenants/red/traces?last=-1" + end:           api.CodeBadRequest,
		"POST /v1/tenants/red" + end:                           api.CodeMethod,
		"OPTIONS *" + end:                                      api.CodeMethod,
		"DELETE /v1/tenants/blue" + end:                        api.CodeMethod,
		"GET /v1/tenants/red HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx": api.CodeBadRequest,
	} {
		before := s.Stats()
		a := askRaw(socket, request)
		if a.code() != want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != api.ContentJSON {
			t.Errorf("%.80q: %d %s %v, want %s", request, a.Status, a.Body, a.Header, want)
		}
		after := s.Stats()
		if after.Refused[want] != before.Refused[want]+1 || after.Requests != before.Requests+1 {
			t.Errorf("%.80q: %s is counted %d times, requests %d", request, want, after.Refused[want]-before.Refused[want], after.Requests-before.Requests)
		}
	}
}

// Whoever has a right to a tenant that is gone is not told more than others.
func TestRightToNothing(t *testing.T) {
	socket := public(t)
	p := policy()
	p.Operators.UIDs, p.Tenants["gone"] = nil, policy().Operators
	s, err := backend.Serve(backend.ServerOptions{Hub: backend.NewHub(backend.HubOptions{}), Socket: socket, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, s)
	gone, other := ask(socket, "/v1/tenants/gone"), ask(socket, "/v1/tenants/other")
	if diff := cmp.Diff(other, gone); diff != "" || gone.code() != api.CodeNotYours {
		t.Errorf("%+v; unlike a tenant that was never there:\n%s", gone, diff)
	}
}

// HEAD is answered like GET, without a body, and does not leave a stream open.
func TestHead(t *testing.T) {
	s := start(t, backend.ServerOptions{})
	for _, path := range append(ownPaths("red")[:4], api.PathTenants, api.PathOpenAPI, api.PathTraces) {
		a, get := askRaw(s.socket, "HEAD "+path+" HTTP/1.0\r\n\r\n"), ask(s.socket, path)
		if a.Status != 200 || a.Body != "" || a.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: %+v", path, a)
		}
	}
}

// A client that has as much as it may is refused, and others are not; what it gives back it
// may have again.
func TestLimits(t *testing.T) {
	s := start(t, backend.ServerOptions{Limits: backend.Limits{
		Streams: 3, ClientStreams: 2, ClientConnections: 4, ClientRate: 1 << 20, ClientBurst: 1 << 20,
	}})
	one, two := open(t, s, "/v1/tenants/red/traces"), open(t, s, "/v1/traces")
	if a := ask(s.socket, "/v1/tenants/red/traces"); a.Status != 429 || a.code() != api.CodeTooMany {
		t.Errorf("one stream more than a client may have: %+v", a)
	}
	if a := ask(s.socket, "/v1/tenants/red"); a.Status != 200 {
		t.Errorf("something else: %+v", a)
	}
	// Two more connections may be open, and no third.
	left(t, s, 2)
	for range 2 {
		c, err := net.Dial("unix", s.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if status := over(t, c); status != 200 {
			t.Errorf("%d", status)
		}
	}
	if a := ask(s.socket, "/v1/tenants/red"); a.Err == "" {
		t.Errorf("one connection more than a client may have: %+v", a)
	}
	refused := s.server.Stats().Refused
	if refused[api.CodeTooMany] != 1 || refused[api.ReasonConnections] != 1 {
		t.Errorf("counted: %v", refused)
	}
	two.conn.Close()
	for one.lines.Scan() { // until the server knows that the other one is gone
		if s.server.Stats().Streams == 1 {
			break
		}
		s.hub.Take("red", some(1))
	}
	left(t, s, 3)
	open(t, s, "/v1/tenants/red/traces")
}

// left waits until so many connections are left: the server may close one after its client has
// read the answer.
func left(t *testing.T, s *setup, connections int) {
	t.Helper()
	for limit := time.Now().Add(soon); s.server.Stats().Connections != connections; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d connections are left, want %d", s.server.Stats().Connections, connections)
		}
	}
}

// over sends one request over a connection that stays open, and returns the status.
func over(t *testing.T, c net.Conn) int {
	t.Helper()
	if _, err := io.WriteString(c, "GET /v1/tenants/red HTTP/1.1\r\nHost: dwell\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is closed
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// Tenants cannot keep an operator out by opening all streams that there may be.
func TestOperatorsGetAStream(t *testing.T) {
	s := start(t, backend.ServerOptions{Limits: backend.Limits{Streams: 1, ClientStreams: 5, ClientRate: 1 << 20, ClientBurst: 1 << 20}})
	open(t, s, "/v1/tenants/red/traces")
	open(t, s, "/v1/traces")

	socket := public(t)
	p := policy()
	p.Operators.UIDs, p.Tenants["red"] = nil, policy().Operators
	server, err := backend.Serve(backend.ServerOptions{Hub: s.hub, Socket: socket, Policy: p, Limits: backend.Limits{Streams: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, server)
	open(t, &setup{socket: socket}, "/v1/tenants/red/traces")
	if a := ask(socket, "/v1/tenants/red/traces"); a.Status != 503 || a.code() != api.CodeBusy {
		t.Errorf("one stream more than all tenants may have: %+v", a)
	}
}

// A client that asks too often is told to wait, after as many requests as may come at once and
// one more for each second since.
func TestRate(t *testing.T) {
	const burst = 3
	s := start(t, backend.ServerOptions{Limits: backend.Limits{ClientRate: 1, ClientBurst: burst}})
	began := time.Now()
	for n := 1; ; n++ {
		a := ask(s.socket, "/v1/tenants")
		most := burst + int(time.Since(began)/time.Second)
		switch {
		case a.Status == http.StatusOK && n <= most:
			continue
		case a.Status != http.StatusTooManyRequests || n <= burst:
			t.Errorf("request %d of %d: %d", n, most, a.Status)
		case a.Header.Get("Retry-After") == "":
			t.Error("it is not told when to try again")
		}
		return
	}
}
