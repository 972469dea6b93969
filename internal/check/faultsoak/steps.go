// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/dwelltrace/dwell/internal/check/otlpsink"
	"github.com/dwelltrace/dwell/internal/check/plot"
	"github.com/dwelltrace/dwell/internal/wait"
)

// step has something go wrong, waits, and mends it.
type step func(*soak, context.Context) error

// stepNames lists the steps in the order of a run.
func stepNames() []string {
	return []string{
		"down", "unauthenticated", "exhausted", "slow", "unavailable", "tenants", "denied", "full", "probes", "file", "sampling", "many",
	}
}

func steps() map[string]step {
	return map[string]step{
		"down":            (*soak).away,
		"unauthenticated": answering(otlpsink.Behaviour{Code: codes.Unauthenticated}),
		"denied":          answering(otlpsink.Behaviour{Code: codes.PermissionDenied}),
		"exhausted":       answering(otlpsink.Behaviour{Code: codes.ResourceExhausted}),
		"unavailable":     answering(otlpsink.Behaviour{Code: codes.Unavailable}),
		"slow":            answering(otlpsink.Behaviour{Delay: 2 * time.Second}),
		"full":            (*soak).full,
		"file":            (*soak).rotated,
		"sampling":        (*soak).sampled,
		"probes":          (*soak).probes,
		"tenants":         (*soak).tenants,
		"many":            (*soak).many,
	}
}

// goWrong takes the steps in turn until ctx is done.
func (s *soak) goWrong(ctx context.Context) error {
	for i := 0; wait.For(ctx, s.step/2); i++ {
		name := s.steps[i%len(s.steps)]
		begin := time.Since(s.begin)
		s.note(name)
		err := steps()[name](s, ctx)
		s.note("")
		s.mu.Lock()
		s.marks = append(s.marks, plot.Mark{Name: name, From: begin, To: time.Since(s.begin)})
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// note says what is wrong now.
func (s *soak) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = what
}

// answering is a step in which the endpoint does as it is told.
func answering(b otlpsink.Behaviour) step {
	return func(s *soak, ctx context.Context) error {
		s.sink.Behave(b)
		wait.For(ctx, s.step)
		s.sink.Behave(otlpsink.Behaviour{})
		return nil
	}
}

// away is a step in which the endpoint is not there.
func (s *soak) away(ctx context.Context) error {
	s.sink.Close()
	wait.For(ctx, s.step)
	return s.sink.Listen(context.WithoutCancel(ctx))
}

// full is a step in which the endpoint is not there and the disk of the spool is full, so that some
// traces may be given up.
func (s *soak) full(ctx context.Context) error {
	s.ledger.endanger(true)
	defer s.ledger.endanger(false)
	s.sink.Close()
	before, err := s.sample(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	var used unix.Statfs_t
	if err := unix.Statfs(s.disk(), &used); err != nil {
		return err
	}
	if err := s.resize(max(1, int64(used.Blocks-used.Bfree)*used.Bsize)); err != nil {
		return fmt.Errorf("make the file system small: %w", err)
	}
	wait.For(ctx, s.step)
	err = errors.Join(s.resize(diskSize), s.sink.Listen(context.WithoutCancel(ctx)))
	for err == nil && wait.For(ctx, time.Second/10) { // until what waits in memory has gone
		now, failed := s.sample(context.WithoutCancel(ctx))
		s.givenFull += now.given - before.given
		before, err = now, failed
		if now.queued < batch {
			break
		}
	}
	return err
}

// batch is about how many spans wait when nothing is wrong.
const batch = 4096

// reload puts settings in force. It goes on when the run is over, because what is in force must be
// known then.
func (s *soak) reload(ctx context.Context, with settings) error {
	s.wanted = with
	return s.agent.Reload(context.WithoutCancel(ctx), s.configuration(with))
}

// sampled is a step in which half of the traces are left out.
func (s *soak) sampled(ctx context.Context) error {
	s.ledger.sampling(true)
	defer s.ledger.sampling(false)
	wait.For(ctx, s.settle)
	with := s.wanted
	with.ratio = 0.5
	if err := s.reload(ctx, with); err != nil {
		return err
	}
	wait.For(ctx, s.step)
	with.ratio = 1
	err := s.reload(ctx, with)
	wait.For(ctx, s.settle)
	return err
}

// probes is a step after which the operator's probe has another name.
func (s *soak) probes(ctx context.Context) error {
	with := s.wanted
	with.probe = map[string]string{"one": "two", "two": "one"}[with.probe]
	err := s.reload(ctx, with)
	wait.For(ctx, s.step/2)
	return err
}

// tenants is a step in which there is no tenant.
func (s *soak) tenants(ctx context.Context) error {
	with := s.wanted
	with.tenant = false
	if err := s.reload(ctx, with); err != nil {
		return err
	}
	wait.For(ctx, s.step)
	with.tenant = true
	return s.reload(ctx, with)
}

// many is a step with as many reloads as there can be, of which nothing is different in the end.
func (s *soak) many(ctx context.Context) error {
	first := s.wanted
	for end := time.Now().Add(s.step); time.Now().Before(end) && ctx.Err() == nil; {
		with := s.wanted
		with.tenant = !with.tenant
		if err := s.reload(ctx, with); err != nil {
			return err
		}
	}
	return s.reload(ctx, first)
}

// rotated is a step in which traces are written to a file, too, which is renamed as logrotate
// does, and then truncated in place.
func (s *soak) rotated(ctx context.Context) error {
	with := s.wanted
	with.file = true
	err := s.reload(ctx, with)
	for i := 0; i < 4 && err == nil && wait.For(ctx, s.step/4); i++ {
		if err = s.written(ctx); err != nil || ctx.Err() != nil {
			break
		}
		if i%2 == 1 {
			err = os.Truncate(s.file(), 0)
			continue
		}
		err = errors.Join(os.Rename(s.file(), s.file()+".1"), s.reload(ctx, with)) // opens it anew
	}
	with.file = false
	err = errors.Join(err, s.reload(ctx, with))
	for _, name := range []string{s.file(), s.file() + ".1"} {
		if gone := os.Remove(name); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// written waits until there is something in the file, or ctx is done, when nobody pings any more.
func (s *soak) written(ctx context.Context) error {
	return s.agent.Until(context.WithoutCancel(ctx), "traces are written to the file", func() (bool, error) {
		if info, err := os.Stat(s.file()); err == nil && info.Size() > 0 {
			return true, nil
		}
		return ctx.Err() != nil, nil
	})
}
