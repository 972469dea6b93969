// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// BenchmarkExport sends traces to a sink and waits until they are there. The sink is another
// process, so that the CPU time is that of the sender alone, from the queue to the socket: in user
// mode, and in the kernel, where the loopback device has the sender receive, too.
func BenchmarkExport(b *testing.B) {
	e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: startSink(b), Queue: exporter.Queue{Wait: exporter.Forever}})
	if err != nil {
		b.Fatal(err)
	}
	traces := pings(100) // a batch: what an agent exports it has just made
	user, system := cpuTime(b)
	for b.Loop() {
		for some := range slices.Chunk(traces, 8) {
			if err := e.Export(b.Context(), some); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := e.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
	userEnd, systemEnd := cpuTime(b)
	spans := float64(exporter.CountOf(traces...).Spans) * float64(b.N)
	b.ReportMetric(float64(userEnd-user)/spans, "user-ns/span")
	b.ReportMetric(float64(systemEnd-system)/spans, "system-ns/span")
	b.ReportMetric(spans/b.Elapsed().Seconds(), "spans/s")
}

// cpuTime returns how much of it this process has used, in nanoseconds.
func cpuTime(b *testing.B) (user, system int64) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano(), u.Stime.Nano()
}

// sinkProcess is set in the environment of a process that is a sink.
const sinkProcess = "DWELL_TEST_SINK"

// sink says where it is, receives requests without looking at them, and ends with its input.
func sink() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(l.Addr().String() + "\n")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic(grpc.NewServer(grpc.ForceServerCodecV2(blind{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		if err := s.RecvMsg(nil); err != nil {
			return err
		}
		return s.SendMsg(nil)
	})).Serve(l))
}

// blind is a codec that knows of no message.
type blind struct{}

func (blind) Marshal(any) (mem.BufferSlice, error) { return nil, nil }
func (blind) Unmarshal(mem.BufferSlice, any) error { return nil }
func (blind) Name() string                         { return "blind" }

// startSink starts a process that is a sink, and returns its address.
func startSink(b *testing.B) string {
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), sinkProcess+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Error(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // whatever it says
	})
	return strings.TrimSpace(address)
}
