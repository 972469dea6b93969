// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// perfBuffer is perf's buffer for each CPU. With its default it loses samples at
// the rate of a flood, and would look cheaper than it is.
const perfBuffer = "32M"

// recorded floods under `perf record` of the tracepoints that dwell uses, system
// wide as dwell is.
func (b *bench) recorded(ctx context.Context) (sample, error) {
	file := filepath.Join(b.dir, "perf.data")
	defer os.Remove(file)
	args := append([]string{"record", "-a", "-q", "-m", perfBuffer, "-o", file, "-e", strings.Join(perfEvents(), ","), "--"}, b.flood()...)
	var s sample
	err := withTracefs(func() error {
		var err error
		s, err = b.ping(b.command(ctx, "perf", args...))
		return err
	})
	if err != nil {
		return sample{}, err
	}
	s.lost, err = b.perfLost(ctx, file)
	return s, err
}

// perfEvents are the names that perf has for the tracepoints that dwell uses.
func perfEvents() []string {
	var names []string
	for _, hook := range event.All().Of(event.Tracepoint) {
		group := "net:"
		if hook.Hook == event.KfreeSKB || hook.Hook == event.SKBCopyDatagramIovec {
			group = "skb:"
		}
		names = append(names, group+hook.Name)
	}
	return names
}

// withTracefs runs f on a thread that has tracefs mounted where perf looks for it.
// If it has to be mounted, then in a mount namespace of that thread alone, which
// ends with it: nothing is left to undo.
func withTracefs(f func() error) error {
	const dir = "/sys/kernel/tracing"
	if _, err := os.Stat(filepath.Join(dir, "events")); err == nil {
		return f()
	}
	result := make(chan error)
	go func() {
		// Never unlocked: the runtime ends the thread with the goroutine. The
		// processes that f starts are children of this thread.
		runtime.LockOSThread()
		err := mountTracefs(dir)
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

func mountTracefs(dir string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("own mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tracefs", dir, "tracefs", 0, ""); err != nil {
		return fmt.Errorf("mount tracefs, which perf needs: %w", err)
	}
	return nil
}

func (b *bench) perfLost(ctx context.Context, file string) (int, error) {
	var out bytes.Buffer
	cmd := b.command(ctx, "perf", "report", "--stats", "-i", file)
	cmd.Stdout = &out
	if err := errOf(cmd); err != nil {
		return 0, err
	}
	return samplesLost(out.String())
}

var (
	// One line for each kind of event has the samples that it lost (since Linux 6.0).
	lostSamples = regexp.MustCompile(`(?m)^ *LOST_SAMPLES events: +(\d+)$`)
	// The totals come first, with percentages, and count the gaps in the buffers.
	lostGaps = regexp.MustCompile(`(?m)^ *LOST events: +(\d+) .*%`)
)

// samplesLost adds up the samples that were lost. Where the kernel does not count
// them, each gap stands for one: a lower bound.
func samplesLost(stats string) (int, error) {
	samples, err := sumMatches(lostSamples, stats)
	if err != nil || samples > 0 {
		return samples, err
	}
	return sumMatches(lostGaps, stats)
}

func sumMatches(re *regexp.Regexp, text string) (int, error) {
	sum := 0
	for _, found := range re.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(found[1])
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
