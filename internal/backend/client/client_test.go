// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// agent serves red and returns its socket.
func agent(t *testing.T) (hub *backend.Hub, socket string) {
	t.Helper()
	hub = backend.NewHub(backend.HubOptions{})
	hub.SetTenants([]string{"red"})
	socket = filepath.Join(t.TempDir(), "agent.sock")
	s, err := backend.Serve(backend.ServerOptions{
		Hub: hub, Socket: socket, Policy: backend.Policy{Operators: backend.Access{UIDs: []uint32{uint32(os.Getuid())}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s.Shutdown(ctx)
	})
	return hub, socket
}

// beSSH puts a program named ssh first in the path: this one.
func beSSH(t *testing.T, what string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(exe, filepath.Join(dir, "ssh")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv(sshVariable, what)
}

// One ssh forwards everything, and is gone with the client.
func TestSSH(t *testing.T) {
	hub, socket := agent(t)
	said := filepath.Join(t.TempDir(), "args")
	beSSH(t, "args="+said)
	c, err := client.New(t.Context(), client.Options{Backend: "ssh://alice@hypervisor-7:2222" + socket})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Traces(t.Context(), "red", client.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hub.Take("red", []*trace.Trace{tracetest.Complete(1)})
	for line := []byte(nil); line == nil; {
		if line, _, err = stream.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := c.Summary(t.Context(), "red"); err != nil || sum.Pings.Total != 1 {
		t.Errorf("%+v, %v", sum.Pings, err)
	}
	c.Close()
	if _, _, err := stream.Next(); err == nil {
		t.Error("the stream goes on without ssh")
	}
	stream.Close()
	text, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(string(text), "\n")
	if got := args[len(args)-6:]; !slices.Equal(got, []string{"-p", "2222", "-l", "alice", "--", "hypervisor-7"}) {
		t.Errorf("ssh is called with %q", args)
	}
	local, _, _ := strings.Cut(args[slices.Index(args, "-L")+1], ":")
	if _, err := os.Stat(filepath.Dir(local)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of the forwarded socket is left behind: %v", err)
	}
}

// When the connection of ssh breaks, the next request makes another one, which asks nobody for
// a password; nothing is left behind.
func TestSSHBreaks(t *testing.T) {
	_, socket := agent(t)
	said := filepath.Join(t.TempDir(), "args")
	beSSH(t, "args="+said)
	t.Setenv("TMPDIR", t.TempDir())
	c, err := client.New(t.Context(), client.Options{Backend: "ssh://hypervisor-7" + socket})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Traces(t.Context(), "red", client.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	text, err := os.ReadFile(said + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = stream.Next()
	}
	for deadline := time.Now().Add(time.Minute); ; { // until it is known that ssh has ended
		if _, err = c.Summary(t.Context(), "red"); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Errorf("after ssh was killed: %v", err)
	}
	text, err = os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "BatchMode=yes") {
		t.Errorf("the second ssh is called with %q", text)
	}
	c.Close()
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := c.Summary(t.Context(), "red"); err == nil {
		t.Error("a client that is closed asks")
	}
}

// What ssh says when it fails is said once: where its words go, or in the error; and nothing
// that is in a backend becomes an option of ssh.
func TestSSHFails(t *testing.T) {
	beSSH(t, "fail")
	var stderr bytes.Buffer
	_, err := client.New(t.Context(), client.Options{Backend: "ssh://hypervisor-7", Stderr: &stderr})
	if err == nil || err.Error() != "ssh to hypervisor-7 failed" || !strings.Contains(stderr.String(), "Permission denied") {
		t.Errorf("%v, and on standard error %q", err, &stderr)
	}
	_, err = client.New(t.Context(), client.Options{Backend: "ssh://hypervisor-7"})
	if err == nil || !strings.Contains(err.Error(), "ssh to hypervisor-7 failed: Permission denied") {
		t.Errorf("%v", err)
	}
	for _, backend := range []string{"ssh://-oProxyCommand=x/run/s", "ssh://-x@host/run/s", "ssh://a:b@host/run/s", "ssh://host/run:x", "ssh:///run/s"} {
		if _, err := client.New(t.Context(), client.Options{Backend: backend}); err == nil || strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("%s: %v", backend, err)
		}
	}
}

// What is wrong is said before anything is connected.
func TestBackends(t *testing.T) {
	for _, backend := range []string{"/run/s", "unix://run/s", "unix:", "http://host", "https://host/path", "https://", "tcp://host:1", "::"} {
		if _, err := client.New(t.Context(), client.Options{Backend: backend}); err == nil {
			t.Errorf("%q is taken", backend)
		}
	}
	if _, err := client.New(t.Context(), client.Options{Backend: "https://host:1"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("https without a certificate: %v", err)
	}
}

// The errors say what to do, and can be told apart.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	nobody := filepath.Join(dir, "nobody")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: nobody, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for path, want := range map[string]error{filepath.Join(dir, "missing"): fs.ErrNotExist, nobody: unix.ECONNREFUSED} {
		c, err := client.New(t.Context(), client.Options{Backend: "unix://" + path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Tenants(t.Context()); !errors.Is(err, want) || !strings.Contains(err.Error(), "dwell agent") {
			t.Errorf("%v", err)
		}
		c.Close()
	}
}

// An ID that is not valid is not sent.
func TestInvalidIDs(t *testing.T) {
	_, socket := agent(t)
	c, err := client.New(t.Context(), client.Options{Backend: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, id := range []string{"..", "a/b", "a?b", "a%2fb"} {
		if _, err := c.Summary(t.Context(), id); err == nil || client.Code(err) != "" {
			t.Errorf("%q: %v", id, err)
		}
		if _, err := c.Traces(t.Context(), id, client.StreamOptions{}); err == nil || client.Code(err) != "" {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := c.Trace(t.Context(), "red", "../summary"); client.Code(err) != api.CodeBadRequest {
		t.Errorf("%v", err)
	}
}

// Something else than the agent is recognised as such.
func TestNotTheAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	defer func() {
		server.Close()
		<-done
	}()
	c, err := client.New(t.Context(), client.Options{Backend: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Tenants(t.Context()); err == nil || !strings.Contains(err.Error(), "is this dwell agent's API?") {
		t.Errorf("%v", err)
	}
}
