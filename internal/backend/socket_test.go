// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

func serveOn(socket string) (*backend.Server, error) {
	return backend.Serve(backend.ServerOptions{Hub: backend.NewHub(backend.HubOptions{}), Socket: socket, Policy: policy()})
}

// What a dead agent has left behind is replaced.
func TestStaleSocket(t *testing.T) {
	socket := public(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := serveOn(socket)
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(socket, api.PathTenants); a.Status != 200 {
		t.Errorf("%+v", a)
	}
	shutdown(t, s)
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// Clients can enter the directories that are made for the socket, whatever the umask of a
// service is.
func TestDirectoryOfTheSocket(t *testing.T) {
	top := filepath.Dir(public(t))
	defer unix.Umask(unix.Umask(0o077))
	s, err := serveOn(filepath.Join(top, "a", "b", "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, s)
	for _, dir := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(top, dir))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

// A socket on which somebody listens is not taken away, nor is a file that is not a socket.
func TestSocketOfAnother(t *testing.T) {
	socket := public(t)
	agent, err := serveOn(socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serveOn(socket); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent: %v", err)
	}
	if a := ask(socket, api.PathTenants); a.Status != 200 {
		t.Errorf("the first one afterwards: %+v", a)
	}
	shutdown(t, agent)

	other, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serveOn(socket); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a socket of something else: %v", err)
	}
	other.Close()

	if err := os.WriteFile(socket, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serveOn(socket); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(socket); string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// At the end only the server's own socket is removed.
func TestSocketWasExchanged(t *testing.T) {
	socket := public(t)
	s, err := serveOn(socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shutdown(t, s)
	if _, err := os.Lstat(socket); err != nil {
		t.Errorf("another's file: %v", err)
	}
}

// As docs/api.md has it.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		return // the other tests ask the same by hand
	}
	s := start(t, backend.ServerOptions{})
	s.hub.Take("red", some(3))
	out, err := exec.CommandContext(t.Context(), curl, "--silent", "--show-error", "--fail", "--unix-socket", s.socket, "http://localhost/v1/tenants/red/summary").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"tenant":"red"`) {
		t.Errorf("%v: %s", err, out)
	}
}
