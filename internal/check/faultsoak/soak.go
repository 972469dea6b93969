// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/agentproc"
	"github.com/dwelltrace/dwell/internal/check/otlpsink"
	"github.com/dwelltrace/dwell/internal/check/plot"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// soak is one run.
type soak struct {
	config
	out, stderr io.Writer
	begin       time.Time

	prefix string
	// dir has the spool, on a file system of its own, and the file.
	dir   string
	lab   *lab.Lab
	guest *netns.NS
	sink  otlpsink.Sink
	agent *agentproc.Agent
	// wanted is the configuration in force.
	wanted settings
	ledger ledger

	mu      sync.Mutex
	current string
	marks   []plot.Mark
	samples []sample
	// floods and churned count what was done.
	floods, churned int
	// givenFull is how many spans were given up while the disk was full.
	givenFull float64
	final     sample
}

// diskSize is that of the file system of the spool, in bytes, which is memory as far as it is
// used; the spool may use half. All that comes while the endpoint is away fits into it.
const diskSize = 2 << 30

// resize gives the file system another size, in bytes.
func (s *soak) resize(size int64) error {
	return unix.Mount("", s.disk(), "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", size))
}

// up makes everything.
func (s *soak) up(ctx context.Context) (err error) {
	s.prefix = fmt.Sprintf("fsoak%d", os.Getpid())
	if s.dir, err = os.MkdirTemp("", "dwell-faultsoak-"); err != nil {
		return err
	}
	if err := os.Mkdir(s.disk(), 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", s.disk(), "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return fmt.Errorf("mount a small file system: %w", err)
	}
	if s.lab, err = lab.Up(ctx, "bridge", lab.Options{Prefix: s.prefix}); err != nil {
		return err
	}
	if s.guest, err = s.lab.Open(lab.Guest); err != nil {
		return err
	}
	s.sink.OnTrace = s.ledger.received
	if err := s.sink.Listen(ctx); err != nil {
		return err
	}
	s.wanted = settings{ratio: 1, tenant: true, probe: "one"}
	s.agent, err = agentproc.Start(ctx, s.dwell, s.configuration(s.wanted), s.stderr)
	return err
}

// down removes everything.
func (s *soak) down(ctx context.Context) error {
	var errs []error
	if s.agent != nil {
		errs = append(errs, s.agent.Stop())
	}
	s.sink.Close()
	if s.guest != nil {
		errs = append(errs, s.guest.Close())
	}
	if s.lab != nil {
		errs = append(errs, s.lab.Down(ctx))
	}
	if s.dir != "" {
		_ = unix.Unmount(s.disk(), unix.MNT_DETACH) // or it was not mounted
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func (s *soak) disk() string { return filepath.Join(s.dir, "disk") }

func (s *soak) file() string { return filepath.Join(s.dir, "traces.jsonl") }

// drained is how long everything may take to arrive once nothing is wrong any more: access that
// was denied is tried once a minute.
const drained = 3 * time.Minute

// run has everything go wrong for as long as asked for, and then waits until all has arrived.
func (s *soak) run(ctx context.Context) error {
	during, over := context.WithTimeout(ctx, s.duration)
	defer over()
	jobs := []func(context.Context) error{s.watch, s.churn, s.flood, s.goWrong}
	for i := range senders {
		jobs = append(jobs, func(ctx context.Context) error { return s.send(ctx, i) })
	}
	var running sync.WaitGroup
	errs := make([]error, len(jobs))
	for i, job := range jobs {
		running.Go(func() {
			if errs[i] = job(during); errs[i] != nil {
				over()
			}
		})
	}
	running.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return err
	}
	with := s.wanted
	with.ratio, with.probe, with.tenant, with.file = 1, "", false, false
	if err := s.reload(ctx, with); err != nil { // whose probes would never end
		return err
	}
	return s.drain(ctx)
}

// drain waits until nothing is under way any more.
func (s *soak) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drained)
	defer cancel()
	var since time.Time
	for {
		before := s.final
		now, err := s.sample(ctx)
		if err != nil {
			return err
		}
		s.final = now
		if now.open > 0 || now.queued > 0 || now.received != before.received || now.sent != before.sent {
			since = time.Now()
		}
		if time.Since(since) > 2*time.Second {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v, %.0f pings are open and %.0f spans wait to be sent: %w", drained, now.open, now.queued, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
