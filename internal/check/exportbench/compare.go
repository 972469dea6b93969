// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// series is what was measured of one exporter.
type series struct {
	name string
	// rates are spans per second of CPU time, one a round; ratios are those to the
	// SDK's of the same round.
	rates, ratios []float64
	wall          []float64
	sent, lost    int64
}

// compare runs the rounds and writes a table.
func compare(ctx context.Context, cfg config, stdout, stderr io.Writer) error {
	s, err := startSink(ctx, stderr)
	if err != nil {
		return err
	}
	all := make([]series, len(exporters()))
	for round := range cfg.rounds {
		for i, name := range exporters() {
			all[i].name = name
			if err := all[i].measure(ctx, cfg, s, stderr); err != nil {
				return errors.Join(fmt.Errorf("%s: %w", name, err), s.stop())
			}
		}
		sdk := all[len(all)-1].rates[round]
		for i := range all {
			all[i].ratios = append(all[i].ratios, all[i].rates[round]/sdk)
		}
	}
	return errors.Join(writeTable(stdout, cfg, all), s.stop())
}

// measure runs the exporter once.
func (s *series) measure(ctx context.Context, cfg config, sink *sink, stderr io.Writer) error {
	cmd := self(ctx, "--role", s.name, "--endpoint", sink.address, "--spans", strconv.Itoa(cfg.spans))
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return err
	}
	got, err := sink.count()
	if err != nil {
		return err
	}
	s.sent += r.Spans
	s.lost += r.Spans - got
	s.rates = append(s.rates, float64(got)/r.CPU.Seconds())
	s.wall = append(s.wall, float64(got)/r.Wall.Seconds())
	return nil
}

// self is this program again.
func self(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "/proc/self/exe", args...)
}

func writeTable(out io.Writer, cfg config, all []series) error {
	if _, err := fmt.Fprintf(out, "medians of %d rounds, %d spans each time\n", cfg.rounds, all[0].sent/int64(cfg.rounds)); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "exporter\tspans per CPU-second\tµs of CPU a span\tspans per second\tratio to SDK\tspans lost\t")
	for _, s := range all {
		rate := median(s.rates)
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.0f\t%.2f\t%d\t\n", s.name, rate, 1e6/rate, median(s.wall), median(s.ratios), s.lost)
	}
	return w.Flush()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// sink is the process that receives.
type sink struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	address string
}

func startSink(ctx context.Context, stderr io.Writer) (*sink, error) {
	s := &sink{cmd: self(ctx, "--role", "sink")}
	s.cmd.Stderr = stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	s.address, err = s.line()
	return s, err
}

func (s *sink) line() (string, error) {
	line, err := s.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

// count returns how many spans arrived since the last count.
func (s *sink) count() (int64, error) {
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		return 0, err
	}
	line, err := s.line()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(line, 10, 64)
}

func (s *sink) stop() error {
	return errors.Join(s.in.Close(), s.cmd.Wait())
}
