// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp/otlpread"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// apiOf is an agent's API, of which this test is the agent.
type apiOf struct {
	t      *testing.T
	hub    *agentapi.Hub
	server *agentapi.Server
	socket string
	pings  uint64
	// firewall, fastPath and probes are nil without.
	firewall agentapi.Firewall
	fastPath agentapi.FastPath
	probes   agentapi.Probes
}

func startAPI(t *testing.T, policy agentapi.Policy) *apiOf {
	t.Helper()
	b := &apiOf{t: t, hub: agentapi.NewHub(agentapi.HubOptions{}), socket: filepath.Join(t.TempDir(), "agent.sock")}
	b.hub.SetTenants([]string{"blue", "red"})
	b.serve(policy)
	t.Cleanup(b.shut)
	return b
}

// everything is granted to the test's own user.
func everything() agentapi.Policy {
	return agentapi.Policy{Operators: agentapi.Access{UIDs: []uint32{uint32(os.Getuid())}}}
}

func (b *apiOf) serve(policy agentapi.Policy) {
	b.t.Helper()
	s, err := agentapi.Serve(agentapi.ServerOptions{Hub: b.hub, Socket: b.socket, Policy: policy, Firewall: b.firewall, FastPath: b.fastPath, Probes: b.probes})
	if err != nil {
		b.t.Fatal(err)
	}
	b.server = s
}

func (b *apiOf) shut() {
	if b.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b.server.Shutdown(ctx)
	b.server = nil
}

// ping lets red ping so many times, just now.
func (b *apiOf) ping(n int) {
	for range n {
		t := tracetest.Complete(uint16(b.pings))
		if b.pings%10 == 7 {
			t = tracetest.Dropped(uint16(b.pings))
		}
		b.pings++
		binary.BigEndian.PutUint64(t.ID[8:], b.pings)
		t.Rebase(time.Now().UnixNano() - t.Root().End)
		b.hub.Take("red", []*trace.Trace{t})
		b.hub.Operator([]*trace.Trace{t})
	}
}

func (b *apiOf) url() string { return "unix://" + b.socket }

// monitor runs dwell monitor to its end.
func (b *apiOf) monitor(args ...string) (p *process, status int) {
	b.t.Helper()
	p = dwell(b.t, append([]string{"monitor", "--backend", b.url()}, args...)...)
	return p, p.exit(b.t)
}

func TestMonitorPipe(t *testing.T) {
	b := startAPI(t, everything())
	b.ping(20)
	for output, wants := range map[string][]string{
		"waterfall": {"SPAN", "ping 192.168.0.10 -> 203.0.113.8  seq 19"},
		"table":     {"SPAN", "MEAN", "hypervisor"},
		"none":      {""},
	} {
		p, status := b.monitor("--tenant", "red", "--last", "20", "--count", "20", "--output", output)
		for _, want := range wants {
			if status != 0 || !strings.Contains(p.stdout.String(), want) {
				t.Errorf("--output %s: status %d, no %q in\n%s%s", output, status, want, &p.stdout, &p.stderr)
			}
		}
		if want := "dwell: 20 pings: 18 complete, 2 dropped"; !strings.Contains(p.stderr.String(), want) {
			t.Errorf("--output %s: no %q in %s", output, want, &p.stderr)
		}
	}
	// Without a terminal, waterfalls are the default, without colours.
	if p, _ := b.monitor("--last", "1", "--count", "1"); !strings.Contains(p.stdout.String(), "└─ echo reply") || strings.Contains(p.stdout.String(), "\x1b") {
		t.Errorf("%q", &p.stdout)
	}
}

// Lines come as the agent sent them, and as many as there are pings.
func TestMonitorLines(t *testing.T) {
	b := startAPI(t, everything())
	b.ping(20)
	file := filepath.Join(t.TempDir(), "red.jsonl")
	p, status := b.monitor("--tenant", "red", "--last", "20", "--outcome", "dropped", "--count", "2", "--output", "json", "--otlp-file", file)
	if status != 0 {
		t.Fatalf("status %d: %s", status, &p.stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != p.stdout.String() {
		t.Error("the file is not what was printed")
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		traces, err := otlpread.Decode([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range traces {
			n++
			if tr.Outcome != trace.Dropped {
				t.Errorf("%s in a stream of dropped pings", tr.Outcome)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d traces", n)
	}
}

func TestMonitorDuration(t *testing.T) {
	b := startAPI(t, everything())
	p, status := b.monitor("--tenant", "red", "--duration", "50ms", "--output", "none")
	if status != 0 || !strings.Contains(p.stderr.String(), "0 pings") {
		t.Errorf("status %d: %s", status, &p.stderr)
	}
}

// Who may not, or asks for what there is not, is told what to do.
func TestMonitorRefused(t *testing.T) {
	all := startAPI(t, everything())
	none := startAPI(t, agentapi.Policy{})
	red := startAPI(t, agentapi.Policy{Tenants: map[string]agentapi.Access{"red": {UIDs: []uint32{uint32(os.Getuid())}}}})
	dead := startAPI(t, everything())
	dead.shut()
	if err := os.WriteFile(dead.socket, nil, 0o600); err != nil { // a file where a socket should be
		t.Fatal(err)
	}
	for _, tt := range []struct {
		b    *apiOf
		args []string
		want string
	}{
		{all, []string{"--tenant", "green"}, `the agent knows no tenant "green"; you may see: blue, red (--tenant)`},
		{none, []string{"--tenant", "red"}, `there is no tenant "red", or you may not see it; nothing has been granted to you`},
		{none, nil, "you must be an operator"},
		{red, nil, "you may see: red (--tenant)"},
		{red, []string{"--tenant", "blue"}, `there is no tenant "blue", or you may not see it; you may see: red`},
		{dead, nil, "nobody listens on the socket"},
		{all, []string{"--tenant", "../red"}, "--tenant: "},
		{all, []string{"--outcome", "eaten"}, "choose one of: complete, dropped"},
		{all, []string{"--output", "events"}, "choose one of: screen, waterfall, table, json, none"},
		{all, []string{"--output", "screen"}, "needs a terminal"},
		{all, []string{"--otlp-file", "-"}, "would be mixed"},
		{all, []string{"--cert", "x"}, "are for --backend https"},
		{all, []string{"--last", "-1"}, "must not be negative"},
		{all, []string{"--slower-than", "-1s"}, "must not be negative"},
		{all, []string{"--duration", "-1s"}, "must not be negative"},
		{all, []string{"--otlp-file", "/nowhere/x"}, "cannot write the OTLP file"},
	} {
		p, status := tt.b.monitor(tt.args...)
		if status != 1 || !strings.Contains(p.stderr.String(), tt.want) {
			t.Errorf("%q: status %d, no %q in %s", tt.args, status, tt.want, &p.stderr)
		}
		checkEachLine(t, p.stderr.String())
		if p.stdout.Len() > 0 {
			t.Errorf("%q printed %s", tt.args, &p.stdout)
		}
	}
	empty := startAPI(t, everything())
	empty.hub.SetTenants(nil)
	if p, status := empty.monitor("--tenant", "red"); status != 1 || !strings.Contains(p.stderr.String(), "there is no tenant in force") {
		t.Errorf("status %d: %s", status, &p.stderr)
	}
	p := dwell(t, "monitor", "--backend", "unix:///nowhere/agent.sock")
	if status := p.exit(t); status != 1 || !strings.Contains(p.stderr.String(), "there is no socket /nowhere/agent.sock: is dwell agent running") {
		t.Errorf("status %d: %s", status, &p.stderr)
	}
}

// Root is never refused by a file's mode, so the words for it are tested by themselves.
func TestNoRightOnTheSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := client.New(t.Context(), client.Options{Backend: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := &agentOf{client: c, backend: "unix://" + socket}
	for mode, want := range map[os.FileMode]string{0o660: "it is for the group ", 0o600: "only its owner may"} {
		if err := os.Chmod(socket, mode); err != nil {
			t.Fatal(err)
		}
		got := a.explain(t.Context(), fmt.Errorf("dial: %w", fs.ErrPermission)).Error()
		if !strings.Contains(got, "you have no right to use the socket "+socket) || !strings.Contains(got, want) {
			t.Errorf("%v: %s", mode, got)
		}
	}
	if got := whoMay("/nowhere/agent.sock"); !strings.Contains(got, "/nowhere is closed to you") {
		t.Error(got)
	}
	for backend, want := range map[string]string{"https://host:1": "certificate", "ssh://host": "logged in", "unix:///s": "uid"} {
		if got := (&agentOf{backend: backend}).caller(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", backend, got)
		}
	}
	for _, err := range []error{syscall.ECONNRESET, io.EOF} {
		far := (&agentOf{client: c, backend: "ssh://host"}).explain(t.Context(), fmt.Errorf("read: %w", err))
		if !errors.Is(far, err) || !strings.Contains(far.Error(), "ssh reaches the host, but not the socket there") {
			t.Error(far)
		}
		if got := a.explain(t.Context(), err); got.Error() != err.Error() { // not over ssh
			t.Error(got)
		}
	}
	if err := a.explain(t.Context(), syscall.ENOTCONN); !errors.Is(err, syscall.ENOTCONN) {
		t.Error(err)
	}
}

// The agent is stopped and started again: the pipe says so, goes on, and counts.
func TestMonitorPipeGoneAndBack(t *testing.T) {
	b := startAPI(t, everything())
	b.ping(3)
	p := dwell(t, "monitor", "--backend", b.url(), "--tenant", "red", "--last", "3", "--count", "7", "--output", "waterfall")
	log, out := &logBuffer{more: make(chan struct{}, 1)}, &logBuffer{more: make(chan struct{}, 1)}
	p.Stderr, p.Stdout = log, out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "seq 2 ")
	b.shut()
	log.await(t, "; trying again")
	b.ping(3)
	b.serve(everything())
	log.await(t, "the agent is back")
	out.await(t, "seq 5 ") // they passed while it was gone
	b.ping(1)
	if err := p.Wait(); err != nil {
		t.Errorf("%v: %s", err, log)
	}
	log.await(t, "dwell: 7 pings: 7 complete")
	if strings.Contains(log.String(), "missed") {
		t.Error(log)
	}
	if n := strings.Count(out.String(), "SPAN"); n != 7 {
		t.Errorf("%d waterfalls of 7 pings", n)
	}
}

// await waits until text is in the buffer.
func (b *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.After(patience); !strings.Contains(b.String(), text); {
		select {
		case <-b.more:
		case <-deadline:
			t.Fatalf("no %q in\n%s", text, b)
		}
	}
}
