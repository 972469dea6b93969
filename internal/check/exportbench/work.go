// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// The exporters that are compared.
const (
	roleDwell = "dwell"
	roleSpool = "dwell with a spool"
	roleSDK   = "OpenTelemetry SDK"
)

func exporters() []string { return []string{roleDwell, roleSpool, roleSDK} }

// The sizes of both queues and of their batches: dwell's own, which are generous to the
// SDK, whose defaults are 2,048 and 512.
const (
	queueSpans = 1 << 18
	batchSpans = 2048
	batchDelay = 200 * time.Millisecond
)

// options of all spans.
func options() otlp.Options {
	return otlp.Options{Version: "1.0.0", Host: otlp.Host{ID: "0123456789abcdef0123456789abcdef", Name: "node-1"}}
}

// result is what a working process has measured of itself.
type result struct {
	Spans int64
	// CPU is user and system time.
	CPU, Wall time.Duration
}

// work exports spans and writes the result.
func work(ctx context.Context, cfg config, out io.Writer) error {
	traces := pings(min(maxTraces, cfg.spans))
	var export func(context.Context, config, []*trace.Trace) (func(round int) error, func() error, error)
	switch cfg.role {
	case roleDwell, roleSpool:
		export = startDwell
	case roleSDK:
		export = startSDK
	default:
		return fmt.Errorf("no role %q", cfg.role)
	}
	send, shutdown, err := export(ctx, cfg, traces)
	if err != nil {
		return err
	}
	stop, err := profile(cfg.profile)
	if err != nil {
		return err
	}
	runtime.GC()
	per := exporter.CountOf(traces...).Spans
	r := result{}
	begin, cpu := time.Now(), cpuTime()
	for ; r.Spans < int64(cfg.spans); r.Spans += per {
		if err := send(int(r.Spans / per)); err != nil {
			return err
		}
	}
	err = shutdown()
	r.CPU, r.Wall = cpuTime()-cpu, time.Since(begin)
	return errors.Join(err, stop(), json.NewEncoder(out).Encode(r))
}

// maxTraces is how many different traces there are.
const maxTraces = 1000

// pings makes the traces, which are sent again and again.
func pings(n int) []*trace.Trace {
	traces := make([]*trace.Trace, n)
	for i := range traces {
		traces[i] = tracetest.Complete(uint16(i))
	}
	return traces
}

// chunk is how many traces an agent exports at once.
const chunk = 8

func startDwell(ctx context.Context, cfg config, traces []*trace.Trace) (func(int) error, func() error, error) {
	o := otlpgrpc.Options{
		Endpoint: "http://" + cfg.endpoint, OTLP: options(),
		Queue: exporter.Queue{Spans: queueSpans, BatchSpans: batchSpans, Delay: batchDelay, Wait: exporter.Forever},
	}
	if cfg.role == roleSpool {
		dir, err := os.MkdirTemp("", "dwell-exportbench-")
		if err != nil {
			return nil, nil, err
		}
		o.Spool.Dir = dir
	}
	e, err := otlpgrpc.New(o)
	if err != nil {
		return nil, nil, err
	}
	send := func(int) error {
		if err := queuedBelow(ctx, e, spills); err != nil {
			return err
		}
		for i := 0; i < len(traces); i += chunk {
			if err := e.Export(ctx, traces[i:min(i+chunk, len(traces))]); err != nil {
				return err
			}
		}
		return nil
	}
	return send, func() error {
		defer os.RemoveAll(o.Spool.Dir)
		return errors.Join(queuedBelow(ctx, e, 1), e.Shutdown(ctx))
	}, nil
}

// spills is where a spool would take what waits: a backend that is slower than the
// input is not what is measured here.
const spills = queueSpans/2 - maxTraces*50

// queuedBelow waits until fewer spans wait.
func queuedBelow(ctx context.Context, e exporter.Exporter, spans int64) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for e.Stats().Queued.Spans >= spans {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // not for these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func profile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
