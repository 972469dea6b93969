// SPDX-License-Identifier: Apache-2.0

// Package containertest makes what looks like a container to who does not look inside:
// a process in a cgroup that is called as a runtime calls it.
package containertest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup makes a cgroup below one of the test's own, of version 2, and removes it after the
// test. It skips the test where that is not allowed, as in a container.
func Cgroup(t testing.TB, name string) (dir string) {
	t.Helper()
	root := mountpoint(t)
	parent := filepath.Join(root, fmt.Sprintf("dwell-test-%d", os.Getpid()))
	dir = filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Skipf("needs to make cgroups: %v", err)
	}
	t.Cleanup(func() {
		remove(t, dir)
		for above := filepath.Dir(dir); above != root; above = filepath.Dir(above) {
			os.Remove(above) // unless another is in it
		}
	})
	return dir
}

// mountpoint returns where cgroups of version 2 are, see proc_pid_mountinfo(5).
func mountpoint(t testing.TB) string {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if strings.HasPrefix(after, "cgroup2 ") {
			return strings.Fields(before)[4]
		}
	}
	t.Skip("needs cgroups of version 2, which are not mounted")
	return ""
}

// remove removes a cgroup, once the kernel has released the processes in it.
func remove(t testing.TB, dir string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("remove %s: %v", dir, err)
			return
		}
	}
}

// Process starts a process called name in the cgroup, and ends it after the test. It is
// in a network namespace of its own unless start puts it elsewhere.
func Process(t testing.TB, cgroup, name string, start func(func() error) error) *os.Process {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(sleep, path); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command(path, "600")
	cmd.Args[0] = "sleep" // where all tools are one program, this is how it knows which
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if start == nil {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		start = func(f func() error) error { return f() }
	}
	if err := start(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process
}

// Docker serves the Docker Engine API with containers of these names, by their IDs, until
// the end of the test. It returns the path of the socket.
func Docker(t testing.TB, names map[string]string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.51")
	})
	mux.HandleFunc("GET /containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		if name, ok := names[r.PathValue("id")]; ok {
			fmt.Fprintf(w, `{"Name":"/%s","Config":{"Labels":null}}`, name)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return socket
}
