// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// canary is in everything that is blue's or nobody's, and canaryAddr and canaryID are an
// address and a trace ID of theirs.
const (
	canary     = "canary"
	canaryAddr = "203.0.113.77"
	canaryID   = "cacacacacacacacacacacacacacacaca"
)

// canaries returns traces that red must not see anything of.
func canaries() []*trace.Trace {
	list := tracetest.All()
	for i, t := range list {
		t = tracetest.Owned(t, canary)
		list[i] = t
		t.ID = trace.ID(bytes.Repeat([]byte{0xca}, 16))
		t.Ping.Src, t.Ping.Dst = netip.MustParseAddr(canaryAddr), netip.MustParseAddr(canaryAddr)
		if t.DropReason != "" {
			t.DropReason = canary
		}
		for j := range t.Spans {
			s := &t.Spans[j]
			ns, dev := *s.NetNS, trace.Device{}
			ns.Name = canary + ns.Name
			s.NetNS = &ns
			if s.Title != "" {
				s.Title = canary
			}
			s.Packet = &trace.Packet{Src: t.Ping.Src, Dst: t.Ping.Dst}
			if s.Device != nil {
				dev = *s.Device
				dev.Name, dev.Bridge, dev.NetNS = canary+dev.Name, canary, &ns
				s.Device = &dev
			}
			if s.Peer != nil {
				s.Peer = &dev
			}
		}
	}
	return list
}

// asRed is a server to which the test's own user is red.
func asRed(t testing.TB, socket string) *backend.Server { return asRedWith(t, socket, nil) }

func asRedWith(t testing.TB, socket string, f backend.Firewall) *backend.Server {
	t.Helper()
	p := policy()
	p.Operators = backend.Access{Certificates: []string{canary}}
	p.Tenants["red"] = backend.Access{UIDs: []uint32{uint32(os.Getuid())}}
	p.Tenants[canary] = backend.Access{UIDs: []uint32{1}}
	hub := backend.NewHub(backend.HubOptions{})
	hub.SetTenants([]string{"red", "blue", canary})
	for range 3 {
		hub.Take("red", some(4))
		hub.Take("blue", canaries())
		hub.Take(canary, canaries())
		hub.Operator(canaries())
	}
	s, err := backend.Serve(backend.ServerOptions{Hub: hub, Socket: socket, Policy: p, Firewall: f, Limits: backend.Limits{
		Firewall: 1 << 10, ClientFirewall: 1 << 10, ClientRate: 1 << 30, ClientBurst: 1 << 30, ClientStreams: 1 << 10, Streams: 1 << 10, ClientConnections: 1 << 10, ClientRequests: 1 << 10, Connections: 1 << 10,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, s) })
	return s
}

// FuzzRequest sends whatever bytes as a request of red's. It is never answered with a server
// error of this package's, nor with anything that is another's, and what is answered is as
// described.
func FuzzRequest(f *testing.F) {
	for _, id := range []string{"red", "blue", canary, "green", "..", "red/../blue", "%62lue", "red%2f..%2fblue", "red%00", "red\x00", "", strings.Repeat("a", 300), "réd", "red;blue", "red?id=blue", "red#blue", "//blue", ".", "red%"} {
		for _, path := range append(ownPaths(id), api.PathTenants+"/"+id+"/traces/"+canaryID) {
			f.Add([]byte("GET " + path + " HTTP/1.1\r\nHost: dwell\r\n\r\n"))
		}
	}
	for _, path := range append(operatorPaths(), api.PathTenants, api.PathOpenAPI, "/", "*", "/v1", "/v1/", "/v1/tenants/", "http://blue/v1/tenants/blue", "/v1/../v1/summary") {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "CONNECT", "DELETE", "TRACE", "get", "PRI"} {
			f.Add([]byte(method + " " + path + " HTTP/1.1\r\nHost: dwell\r\n\r\n"))
		}
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=99999999999999999999", "limit=5&limit=6", "last=1000", "outcome=canary", "slower_than=-1s", "slower_than=1ns", "x=1", "%zz", ";", "limit=%35"} {
		f.Add([]byte("GET /v1/tenants/red/pings?" + query + " HTTP/1.1\r\nHost: dwell\r\n\r\n"))
		f.Add([]byte("GET /v1/tenants/red/traces?" + query + " HTTP/1.1\r\nHost: dwell\r\n\r\n"))
	}
	for _, header := range []string{"X-Original-URL: /v1/summary", "X-Forwarded-For: 127.0.0.1", "Authorization: Basic cm9vdDo=", "Content-Length: 5", "Transfer-Encoding: chunked", "Expect: 100-continue", "Upgrade: h2c\r\nConnection: Upgrade", "Range: bytes=0-1", "X: " + strings.Repeat("x", 20_000)} {
		f.Add([]byte("GET /v1/tenants/red HTTP/1.1\r\nHost: dwell\r\n" + header + "\r\n\r\n"))
	}
	for _, r := range firewallRequests() {
		for _, id := range []string{"red", "blue", canary, "red/../blue"} {
			f.Add([]byte(requestOf(r.method, api.FirewallPath(id)+r.path, r.contentType, r.body)))
		}
		f.Add([]byte(requestOf(r.method, red+r.path, r.contentType, strings.Replace(r.body, "}", `,"affect_others":true,"tenant":"blue"}`, 1))))
	}
	socket, fake := public(f), &fakeFirewall{}
	asRedWith(f, socket, fake)
	d := describe(f)
	f.Fuzz(func(t *testing.T, request []byte) {
		status, header, body := exchange(t, socket, request)
		if status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported {
			t.Errorf("%q is answered with %d %s", request, status, body)
		}
		text := fmt.Sprint(header) + string(body)
		for _, c := range []string{canary, canaryAddr, canaryID, "blue"} {
			if strings.Contains(text, c) && !bytes.Contains(bodyOf(request), []byte(c)) { // what is wrong with it may be quoted
				t.Errorf("%q is answered with %s: %s", request, c, text)
			}
		}
		for _, call := range fake.took() {
			if who := strings.Fields(call)[1]; who != "red" || strings.HasSuffix(call, "others=true") {
				t.Errorf("%q asks the firewall: %s", request, call)
			}
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		ours := header.Get("Cache-Control") != "" // and not that of package http
		if err == nil && ours && r.Method != http.MethodHead && r.URL.EscapedPath() == r.URL.Path && strings.HasPrefix(r.URL.Path, "/") {
			d.check(t, r.Method, r.URL.Path, status, header, body)
		}
	})
}

// bodyOf returns what follows the head of a request.
func bodyOf(request []byte) []byte {
	_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	return body
}

// exchange sends bytes and returns the first answer; of a stream, what comes at once. The
// status is 0 if there is none.
func exchange(t *testing.T, socket string, request []byte) (int, http.Header, []byte) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(request) // it may be refused before all of it was read
	_ = c.(*net.UnixConn).CloseWrite()
	r, _ := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	resp, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // half closed, a stream ends
	return resp.StatusCode, resp.Header, body
}
