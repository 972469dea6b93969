// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// traced floods under `dwell trace` with more flags, which writes its traces to a file.
func (b *bench) traced(ctx context.Context, flags ...string) (sample, error) {
	file := filepath.Join(b.dir, "traces.json")
	defer os.Remove(file)
	cmd := b.command(ctx, b.dwell, append([]string{"trace", "--output", "none", "--otlp-file", file}, flags...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return sample{}, err
	}
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	said := bufio.NewReader(stderr)
	s, err := b.floodOnceAttached(ctx, said)

	// Whatever happened, the tracer ends, and its last words are read first: Wait
	// closes the pipe.
	stopErr := cmd.Process.Signal(os.Interrupt)
	summary, readErr := io.ReadAll(said)
	if err := errors.Join(err, stopErr, readErr, cmd.Wait()); err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, summary)
	}
	if s.lost, err = eventsLost(string(summary)); err != nil {
		return sample{}, err
	}
	s.traces, err = outcomes(file)
	return s, err
}

// floodOnceAttached waits until the tracer says on stderr that it is attached.
func (b *bench) floodOnceAttached(ctx context.Context, said *bufio.Reader) (sample, error) {
	var words strings.Builder
	for !strings.Contains(words.String(), "attached") {
		line, err := said.ReadString('\n')
		words.WriteString(line)
		if err != nil {
			return sample{}, fmt.Errorf("it never said that it is attached: %s", words.String())
		}
	}
	return b.unwatched(ctx)
}

// The summary counts the events that the kernel side could not hand over.
var lostEvents = regexp.MustCompile(`(\d+) (?:events )?lost|lost[:= ]+(\d+)`)

func eventsLost(summary string) (int, error) {
	found := lostEvents.FindStringSubmatch(summary)
	if found == nil {
		return 0, fmt.Errorf("no count of lost events in the summary of dwell trace: %q", summary)
	}
	return strconv.Atoi(found[1] + found[2])
}

// outcomes counts the traces in an OTLP file by what their root span says.
func outcomes(name string) (map[string]int, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	count := map[string]int{}
	// A batch is one line, of any length.
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := countRoots(count, line); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return count, nil
		} else if err != nil {
			return nil, err
		}
	}
}

func countRoots(count map[string]int, line []byte) error {
	batch, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
	if err != nil {
		return err
	}
	for _, resource := range batch.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				outcome, found := span.Attributes().Get(trace.AttrOutcome)
				if found && span.ParentSpanID().IsEmpty() {
					count[outcome.Str()]++
				}
			}
		}
	}
	return nil
}
