// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
)

// doubted is a packet that the kernel treated otherwise than was foretold, as the agent's process tells of it.
type doubted struct {
	Packet string
	// At is when it left, on CLOCK_MONOTONIC.
	At      time.Duration
	Differs string
}

// doubtLog keeps what the agent logs of such packets, and passes on all that is no debugging.
type doubtLog struct {
	slog.Handler

	mu   sync.Mutex
	list []doubted
}

func (l *doubtLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *doubtLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == accelerator.DoubtExcused {
		var d doubted
		r.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "packet":
				d.Packet = a.Value.String()
			case "monotonic_ns":
				d.At = time.Duration(a.Value.Uint64())
			case "differs":
				d.Differs = a.Value.String()
			}
			return true
		})
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list = append(l.list, d)
		return nil
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

// take returns what there is, and forgets it.
func (l *doubtLog) take() []doubted {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// monotonic returns the time of the clock by which programs say when a packet was.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(ts.Nano())
}

// span is while a change was made.
type span struct{ from, to time.Duration }

// explained says what is wrong with packets that the agent excuses because something was changing, or nil: the kernel can
// only have treated a packet otherwise than was foretold while a route was being replaced, and only by giving it
// another next hop. It does so before it raises the generation of routes by which programs see it. All else that
// changes here ends a connection, or has packets leave by another device or not at all, which is not foretold.
func explained(list []doubted, routes []span) (errs []error) {
	for _, d := range list {
		if !strings.HasPrefix(d.Differs, "next hop ") || strings.Contains(d.Differs, ";") {
			errs = append(errs, fmt.Errorf("no change explains what became of %s: %s", d.Packet, d.Differs))
			continue
		}
		during := false
		for _, s := range routes {
			during = during || d.At >= s.from && d.At <= s.to
		}
		if !during {
			errs = append(errs, fmt.Errorf("no route was being replaced when %s left: %s", d.Packet, d.Differs))
		}
	}
	return errs
}
