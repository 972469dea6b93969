// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/config"
)

// pipe makes a named pipe, which holds up whoever reads it. held returns when somebody does,
// who then waits until the end of the test.
func pipe(t *testing.T, path string) (held func()) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		until(t, "somebody reads "+path, func() bool {
			f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0) // there is no reader: ENXIO
			if err == nil {
				t.Cleanup(func() { f.Close() })
			}
			return err == nil
		})
	}
}

// blocked makes exporters whose making, or whose end, waits until the end of the test.
type blocked struct {
	fake
	waits, release chan struct{}
	once           sync.Once
}

func newBlocked(t *testing.T) *blocked {
	h := &blocked{waits: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(func() { close(h.release) })
	return h
}

func (h *blocked) wait() {
	h.once.Do(func() { close(h.waits) })
	<-h.release
}

// made waits before there is an exporter.
func (h *blocked) made(config.Protocol, otlpgrpc.Options) (exporter.Exporter, error) {
	h.wait()
	return &fake{}, nil
}

// Shutdown waits before the exporter ends.
func (h *blocked) Shutdown(context.Context) error {
	h.wait()
	return nil
}

// silent accepts connections and never answers. came returns when one is there.
func silent(t *testing.T) (address string, came func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			if conns = append(conns, c); len(conns) == 1 {
				close(first)
			}
		}
		for _, c := range conns {
			c.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return "http://" + l.Addr().String(), func() { <-first }
}

// TestEndDuringAReload: a reload that hangs, at whichever step, does not keep the daemon from
// ending. Each of these hangs until after that.
func TestEndDuringAReload(t *testing.T) {
	const short = "shutdown: {timeout: 500ms}\n"
	to := func(address string) string { return "export: {otlp: {endpoint: \"" + address + "\"}}\n" }
	for name, hang := range map[string]func(*testing.T, *life, string) (held func()){
		"the configuration": func(t *testing.T, l *life, _ string) func() {
			if err := os.Remove(l.file); err != nil {
				t.Fatal(err)
			}
			return pipe(t, l.file)
		},
		"a secret": func(t *testing.T, l *life, path string) func() {
			l.write(short + "export: {otlp: {endpoint: \"a:1\", headers: {authorization: \"${file:" + path + "}\"}}}\n")
			return pipe(t, path)
		},
		"a certificate": func(t *testing.T, l *life, path string) func() {
			l.write(short + "export: {otlp: {endpoint: \"a:1\", tls: {ca_file: " + path + "}}}\n")
			return pipe(t, path)
		},
		"a tenant's certificate": func(t *testing.T, l *life, path string) func() {
			l.write(short + "tenants: [{id: red, ports: [a], export: {otlp: [{endpoint: \"a:1\", tls: {ca_file: " + path + "}}]}}]\n")
			return pipe(t, path)
		},
		"the new exporter": func(t *testing.T, l *life, _ string) func() {
			h := newBlocked(t)
			l.sinks.newExporter = h.made
			l.write(short + to("127.0.0.1:1"))
			return func() { <-h.waits }
		},
		"the exporter before": func(t *testing.T, l *life, _ string) func() {
			h := newBlocked(t)
			l.sinks.endpoint.swap(h)
			l.write(short + to("127.0.0.1:1"))
			return func() { <-h.waits }
		},
		"a tenant's new exporter": func(t *testing.T, l *life, _ string) func() {
			h := newBlocked(t)
			l.sinks.tenants.newExporter = h.made
			l.write(short + "tenants: [{id: red, ports: [a], export: {otlp: [{endpoint: \"127.0.0.1:1\"}]}}]\n")
			return func() {
				l.await("READY=1\n")
				l.sinks.tenants.Take("red", pings(1))
				<-h.waits
			}
		},
		"the metrics before": func(t *testing.T, l *life, _ string) func() {
			address, came := silent(t)
			l.reload(short + "metrics: {otlp: {enabled: true, endpoint: \"" + address + "\", interval: 1s}}\n")
			came()
			l.write(short + "metrics: {otlp: {enabled: true, endpoint: \"" + address + "\", interval: 2s}}\n")
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := live(t, short)
			held := hang(t, l, filepath.Join(t.TempDir(), "pipe"))
			l.hup <- nil
			l.await("RELOADING=1\n")
			held()
			_ = l.stop() // that something could not be sent is an error
		})
	}
}

// TestEndDuringAChangeOfTenants is the same for a file of a directory of tenants.
func TestEndDuringAChangeOfTenants(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pipe")
	held := pipe(t, path)
	l := live(t, "shutdown: {timeout: 500ms}\ntenancy: {dir: "+dir+"/tenants.d}\n")
	tenantFile(t, dir+"/tenants.d", "red.yaml", "ports: [a]\nexport: {otlp: [{endpoint: \"a:1\", tls: {ca_file: "+path+"}}]}\n")
	held()
	if err := l.stop(); err != nil {
		t.Error(err)
	}
}

// TestChangesWhileOneIsPrepared: a reload that takes long is made when it is ready, and what
// else has changed meanwhile comes after it.
func TestChangesWhileOneIsPrepared(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pipe")
	l := live(t, "tenancy: {dir: "+dir+"/tenants.d}\n")
	l.write("tenancy: {dir: " + dir + "/tenants.d}\nlog: {level: debug}\nexport: {otlp: {endpoint: \"a:1\", headers: {a: \"${file:" + path + "}\"}}}\n")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	l.hup <- nil
	l.await("RELOADING=1\n")
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	tenantFile(t, dir+"/tenants.d", "red.yaml", "ports: [a]\n")
	if _, err := f.WriteString("token"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.await("READY=1\n")
	until(t, "both are in force", func() bool { return l.agent.inForce() != nil && l.tenancy.count.Load() == 1 && l.reloads.Load() == 1 })
}
