// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// patience is how long a test waits for what must come, on a machine that is busy.
const patience = time.Minute

// agentProcess is dwell agent running as a process of its own.
type agentProcess struct {
	*process
	t      *testing.T
	config string
	log    *logBuffer
	states chan string
	exited chan struct{}
}

// startAgent runs dwell agent with a configuration until it is ready.
func startAgent(t *testing.T, config string) *agentProcess {
	t.Helper()
	return startAgentAs(t, config, func(args ...string) *process { return dwell(t, args...) })
}

// startAgentAs is startAgent with another way to run dwell.
func startAgentAs(t *testing.T, config string, dwell func(...string) *process) *agentProcess {
	t.Helper()
	dir := t.TempDir()
	d := &agentProcess{t: t, config: filepath.Join(dir, "dwell.yaml"), log: &logBuffer{more: make(chan struct{}, 1)}, exited: make(chan struct{})}
	d.write(config)
	socket := filepath.Join(dir, "notify")
	d.states = listenNotify(t, socket)
	d.process = dwell("agent", "--config", d.config)
	d.Env = append(d.Env, "NOTIFY_SOCKET="+socket)
	d.Stderr = d.log
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.exited)
		_ = d.Wait() // the state tells
	}()
	t.Cleanup(func() {
		d.signal(syscall.SIGKILL)
		<-d.exited
	})
	d.await("READY=1")
	return d
}

// write replaces the configuration.
func (d *agentProcess) write(config string) {
	d.t.Helper()
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *agentProcess) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
}

// reload puts a configuration in force, or not, and waits until the daemon says that it
// is done.
func (d *agentProcess) reload(config string) {
	d.t.Helper()
	d.write(config)
	d.signal(syscall.SIGHUP)
	d.await("RELOADING=1")
	d.await("READY=1")
}

// stop ends the daemon in good order and returns its exit status.
func (d *agentProcess) stop() int {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatalf("does not end\n%s", d.log)
	}
	return d.ProcessState.ExitCode()
}

// await returns the next state that begins so.
func (d *agentProcess) await(prefix string) string {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case state := <-d.states:
			if strings.HasPrefix(state, prefix) {
				return state
			}
		case <-d.exited:
			d.t.Fatalf("ended before it said %s\n%s", prefix, d.log)
		case <-timeout:
			d.t.Fatalf("never said %s\n%s", prefix, d.log)
		}
	}
}

// address returns where the daemon's HTTP server listens.
func (d *agentProcess) address() string {
	d.t.Helper()
	d.mustLog("serving metrics and health")
	found := regexp.MustCompile(`msg="serving metrics and health" address=(\S+)`).FindStringSubmatch(d.log.String())
	if found == nil {
		d.t.Fatalf("no address in\n%s", d.log)
	}
	return found[1]
}

// mustLog fails unless the log says so. It comes by another way than the states do, and
// later.
func (d *agentProcess) mustLog(want ...string) {
	d.t.Helper()
	timeout := time.After(patience)
	for _, w := range want {
		for over := false; !strings.Contains(d.log.String(), w); {
			if over {
				d.t.Errorf("the log does not say %q:\n%s", w, d.log)
				break
			}
			select {
			case <-d.log.more:
			case <-d.exited:
				over = true
			case <-timeout:
				over = true
			}
		}
	}
}

// logBuffer may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has something when more was written
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// listenNotify is a service manager that takes sd_notify's messages.
func listenNotify(t *testing.T, path string) chan string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buffer := make([]byte, 4096); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			states <- string(buffer[:n])
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return states
}

// backend is an OTLP endpoint that notes which traces it got.
type backend struct {
	coltracepb.UnimplementedTraceServiceServer
	address string

	mu     sync.Mutex
	calls  int
	traces map[string]bool // by ID
	names  map[string]bool // of metrics
	more   chan struct{}   // has something when a request came
}

func startBackend(t *testing.T, address string) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{address: listener.Addr().String(), traces: map[string]bool{}, names: map[string]bool{}, more: make(chan struct{}, 1)}
	server, done := grpc.NewServer(), make(chan struct{})
	coltracepb.RegisterTraceServiceServer(server, b)
	colmetricpb.RegisterMetricsServiceServer(server, &metricsBackend{backend: b})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return b
}

// Export implements the OTLP service.
func (b *backend) Export(_ context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				b.traces[hex.EncodeToString(s.GetTraceId())] = true
			}
		}
	}
	select {
	case b.more <- struct{}{}:
	default:
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

// metricsBackend is the backend's service for metrics.
type metricsBackend struct {
	colmetricpb.UnimplementedMetricsServiceServer
	*backend
}

// Export implements the OTLP service.
func (b *metricsBackend) Export(_ context.Context, r *colmetricpb.ExportMetricsServiceRequest) (*colmetricpb.ExportMetricsServiceResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rm := range r.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				b.names[m.GetName()] = true
			}
		}
	}
	select {
	case b.more <- struct{}{}:
	default:
	}
	return &colmetricpb.ExportMetricsServiceResponse{}, nil
}

// awaitMetrics waits until metrics of these names came.
func (b *backend) awaitMetrics(t *testing.T, names ...string) {
	t.Helper()
	has := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return !slices.ContainsFunc(names, func(name string) bool { return !b.names[name] })
	}
	for timeout := time.After(patience); !has(); {
		select {
		case <-b.more:
		case <-timeout:
			t.Fatalf("not all of %v came", names)
		}
	}
}

// ids adds the IDs of the traces it got to a set.
func (b *backend) ids(set map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.traces {
		set[id] = true
	}
}

// has reports whether it got a trace.
func (b *backend) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.traces[id]
}

// awaitTraces waits until n traces came at the backends, and returns how many did.
func awaitTraces(t *testing.T, n int, at ...*backend) int {
	t.Helper()
	for timeout := time.After(patience); ; {
		set := map[string]bool{}
		for _, b := range at {
			b.ids(set)
		}
		if len(set) >= n {
			return len(set)
		}
		select {
		case <-at[0].more:
		case <-at[len(at)-1].more:
		case <-timeout:
			t.Fatalf("%d traces came, not %d", len(set), n)
		}
	}
}

// requests returns how many requests there were.
func (b *backend) requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// awaitRequest waits until there were more than so many requests.
func (b *backend) awaitRequest(t *testing.T, seen int) {
	t.Helper()
	for timeout := time.After(patience); b.requests() <= seen; {
		select {
		case <-b.more:
		case <-timeout:
			t.Fatalf("no request came at %s", b.address)
		}
	}
}

// refusing returns an address at which nobody listens until the test does: a socket that
// is bound, and no more, keeps it from whoever is given a free port meanwhile.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, loopback)); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(loopback.Addr), uint16(bound.(*unix.SockaddrInet4).Port)).String()
}

// labConfig is a configuration that looks at the lab alone.
func labConfig(l *lab.Lab, more string) string {
	_, hypervisor := l.NetNS(lab.Hypervisor)
	_, guest := l.NetNS(lab.Guest)
	return "trace:\n  netns: [\"" + strings.TrimSuffix(guest, "guest") + "*\"]\n  hypervisors: [" + hypervisor + "]\n" +
		"http: {listen: \"127.0.0.1:0\"}\n" + more
}
