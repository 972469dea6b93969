// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// counted floods while bpftrace counts how often each tracepoint that dwell uses fires: the least that a
// script of it can do that is of use.
func (b *bench) counted(ctx context.Context) (s sample, err error) {
	err = withTracefs(func() error {
		s, err = b.floodUnderScript(ctx)
		return err
	})
	return s, err
}

// ready is what the script prints once its probes are attached.
const ready = "attached"

func countingScript() string {
	var probes []string
	for _, name := range perfEvents() {
		probes = append(probes, "tracepoint:"+name)
	}
	return fmt.Sprintf("BEGIN { printf(%q); } %s { @[probe] = count(); }", ready+"\n", strings.Join(probes, ", "))
}

func (b *bench) floodUnderScript(ctx context.Context) (sample, error) {
	cmd := b.command(ctx, "bpftrace", "-e", countingScript())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return sample{}, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	said := bufio.NewReader(stdout)
	s, err := sample{}, saysReady(said)
	if err == nil {
		s, err = b.unwatched(ctx)
	}
	// Whatever happened, it ends, and its last words are read first: Wait closes the pipe.
	stopErr := cmd.Process.Signal(os.Interrupt)
	counts, readErr := io.ReadAll(said)
	if err := errors.Join(err, stopErr, readErr, cmd.Wait()); err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, stderr.String())
	}
	return s, hasCounted(string(counts), s.sent)
}

func saysReady(said *bufio.Reader) error {
	for {
		line, err := said.ReadString('\n')
		if err != nil {
			return fmt.Errorf("bpftrace never said that it is attached: %w", err)
		}
		if strings.TrimSpace(line) == ready {
			return nil
		}
	}
}

// What bpftrace prints of the map at the end.
var probeCount = regexp.MustCompile(`(?m)^@\[tracepoint:[^]]*\]: (\d+)$`)

// hasCounted fails if less was counted than one event a ping: what is not attached costs nothing.
func hasCounted(said string, pings int) error {
	n, err := sumMatches(probeCount, said)
	if err == nil && n < pings {
		err = fmt.Errorf("bpftrace counted %d events of %d pings", n, pings)
	}
	return err
}
