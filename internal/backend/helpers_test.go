// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// soon is how long something may take that happens at once on an idle machine.
const soon = 30 * time.Second

// setup is a server with a hub that knows red and blue. The test's own user is an operator.
type setup struct {
	hub    *backend.Hub
	server *backend.Server
	socket string
}

func policy() backend.Policy {
	return backend.Policy{
		Operators: backend.Access{UIDs: []uint32{uint32(os.Getuid())}},
		Tenants: map[string]backend.Access{
			"red":  {UIDs: []uint32{5001}, GIDs: []uint32{6001}, Certificates: []string{"red.example"}},
			"blue": {UIDs: []uint32{5002}, GIDs: []uint32{6002}, Certificates: []string{"spiffe://example/blue"}},
		},
	}
}

// wide are limits that tests of something else do not meet.
func wide() backend.Limits { return backend.Limits{ClientRate: 1 << 20, ClientBurst: 1 << 20} }

func start(t *testing.T, o backend.ServerOptions) *setup {
	t.Helper()
	if o.Hub == nil {
		o.Hub = backend.NewHub(backend.HubOptions{})
		o.Hub.SetTenants([]string{"red", "blue"})
	}
	if o.Socket == "" {
		o.Socket = filepath.Join(t.TempDir(), "agent.sock")
	}
	if o.Policy.Tenants == nil {
		o.Policy = policy()
	}
	if o.Limits == (backend.Limits{}) {
		o.Limits = wide()
	}
	s, err := backend.Serve(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, s) })
	return &setup{o.Hub, s, o.Socket}
}

func shutdown(t testing.TB, s *backend.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	s.Shutdown(ctx)
}

func (s *setup) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(t.Context(), client.Options{Backend: "unix://" + s.socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// some returns n traces, one after another in time.
func some(n int) []*trace.Trace {
	list := make([]*trace.Trace, n)
	for i := range list {
		switch i % 4 {
		case 3:
			list[i] = tracetest.Dropped(uint16(i))
		default:
			list[i] = tracetest.Complete(uint16(i))
		}
	}
	return list
}

// streamed returns the first n lines of a stream.
func streamed(t *testing.T, s *setup, target string, n int) []string {
	t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: dwell\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is closed
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for scanner := bufio.NewScanner(resp.Body); len(list) < n && scanner.Scan(); {
		list = append(list, scanner.Text())
	}
	if len(list) < n {
		t.Fatalf("%s: %d lines, want %d", target, len(list), n)
	}
	return list
}

// lastCode reads a stream to its end and returns the code with which it ends.
func lastCode(t *testing.T, s *client.Stream) (code string) {
	t.Helper()
	for {
		_, note, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return code
		case err != nil:
			t.Fatal(err)
		case note != nil && note.End != nil:
			code = note.End.Code
		}
	}
}
