// SPDX-License-Identifier: Apache-2.0

// Package ovsdbtest is a database of Open vSwitch for tests: it gives the answers that
// ovsdb-server 3.1 gives for a few bridges.
package ovsdbtest

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Server answers every transaction with the same tables.
type Server struct {
	Socket string
	// Queries is how many transactions there were.
	Queries atomic.Int32
	result  atomic.Pointer[string]
}

// Port is a port of a bridge. It has several devices if it is a bond.
type Port struct {
	Bridge, Type string
	Devices      []string
}

// Serve listens until the test is over.
func Serve(t testing.TB, ports ...Port) *Server {
	t.Helper()
	s := &Server{Socket: filepath.Join(t.TempDir(), "db.sock")}
	s.Set(ports...)
	l, err := net.Listen("unix", s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(t, conn) })
		}
	})
	return s
}

// Set makes these the ports.
func (s *Server) Set(ports ...Port) { s.Answer(Result(ports...)) }

// Answer makes this the result of every transaction.
func (s *Server) Answer(result string) { s.result.Store(&result) }

// serve first asks whether the client is still there, as the real one does now and then.
func (s *Server) serve(t testing.TB, conn net.Conn) {
	defer conn.Close()
	in := json.NewDecoder(conn)
	for {
		var request struct {
			ID     any
			Method string
			Params []any
		}
		if in.Decode(&request) != nil {
			return
		}
		if request.Method != "transact" || len(request.Params) != 4 || request.Params[0] != "Open_vSwitch" {
			t.Errorf("request %+v, want a transaction of three operations", request)
		}
		s.Queries.Add(1)
		fmt.Fprintf(conn, `{"id":"echo","method":"echo","params":[]}{"id":%q,"result":%s,"error":null}`, request.ID, *s.result.Load())
	}
}

// Result is what a server with these ports returns. Sets of one element are written without
// the set, and the numbers of ports and interfaces overlap.
func Result(ports ...Port) string {
	uuid := func(n int) string { return fmt.Sprintf(`["uuid","52f59f6b-25b3-46ee-87a9-%012x"]`, n) }
	set := func(ids []string) string {
		if len(ids) == 1 {
			return ids[0]
		}
		return `["set",[` + strings.Join(ids, ",") + `]]`
	}
	var names, portRows, interfaceRows []string
	portsOf := map[string][]string{}
	for i, p := range ports {
		if portsOf[p.Bridge] == nil {
			names = append(names, p.Bridge)
		}
		portsOf[p.Bridge] = append(portsOf[p.Bridge], uuid(i))
		var ids []string
		for _, d := range p.Devices {
			id := uuid(len(interfaceRows))
			ids = append(ids, id)
			interfaceRows = append(interfaceRows, fmt.Sprintf(`{"_uuid":%s,"name":%q,"type":%q}`, id, d, p.Type))
		}
		portRows = append(portRows, fmt.Sprintf(`{"_uuid":%s,"interfaces":%s}`, uuid(i), set(ids)))
	}
	var bridgeRows []string
	for _, name := range names {
		bridgeRows = append(bridgeRows, fmt.Sprintf(`{"name":%q,"ports":%s}`, name, set(portsOf[name])))
	}
	return fmt.Sprintf(`[{"rows":[%s]},{"rows":[%s]},{"rows":[%s]}]`,
		strings.Join(bridgeRows, ","), strings.Join(portRows, ","), strings.Join(interfaceRows, ","))
}
