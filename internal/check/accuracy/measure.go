// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// target answers in the bridge lab.
const target = "203.0.113.8"

// measure makes the lab, traces a ping through it, and matches traces with what ping
// printed. The lab is gone when it returns.
func measure(ctx context.Context, cfg config) (pings []ping, err error) {
	dir, err := os.MkdirTemp("", "dwell-accuracy-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := cfg.lab(ctx, "up"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cfg.lab(context.WithoutCancel(ctx), "down")) }()

	file := filepath.Join(dir, "traces.jsonl")
	printed, err := cfg.traced(ctx, file)
	if err != nil {
		return nil, err
	}
	traces, err := readTraces(file)
	if err != nil {
		return nil, err
	}
	return match(printed, traces)
}

func (c config) lab(ctx context.Context, verb string) error {
	out, err := exec.CommandContext(ctx, c.dwell, "lab", verb, "--prefix", c.prefix, "bridge").CombinedOutput()
	if err != nil {
		return fmt.Errorf("lab %s: %w\n%s", verb, err, out)
	}
	return nil
}

// traced runs ping while dwell trace writes file, and returns what ping printed.
func (c config) traced(ctx context.Context, file string) (map[int]time.Duration, error) {
	cmd := exec.CommandContext(ctx, c.dwell, "trace", "--output", "none", "--otlp-file", file,
		"--count", strconv.Itoa(c.count), "--duration", (30*time.Second + time.Duration(c.count)*c.interval).String(),
		"--netns", c.prefix+"-bridge-guest", "--netns", c.prefix+"-bridge-hypervisor", "--netns", c.prefix+"-bridge-outside",
		"--hypervisor", c.prefix+"-bridge-hypervisor")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := bufio.NewReader(stderr)
	line, err := said.ReadString('\n')
	if err != nil || !strings.Contains(line, "attached") {
		rest, _ := io.ReadAll(said)
		return nil, fmt.Errorf("dwell trace did not attach: %s%s%w", line, rest, errors.Join(err, cmd.Wait()))
	}
	out, pingErr := exec.CommandContext(ctx, c.dwell, "lab", "exec", "--prefix", c.prefix, "bridge", "--",
		"env", "LC_ALL=C", "ping", "-c", strconv.Itoa(c.count), "-i", fmt.Sprint(c.interval.Seconds()), target).Output()
	summary, readErr := io.ReadAll(said)
	if err := errors.Join(pingErr, readErr, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, summary)
	}
	return parsePing(string(out))
}

var pingLine = regexp.MustCompile(`icmp_seq=(\d+) .*time=([\d.]+) ms`)

// parsePing reads the round-trip times that ping prints, by sequence number. Their
// resolution is a microsecond.
func parsePing(out string) (map[int]time.Duration, error) {
	rtts := map[int]time.Duration{}
	for _, m := range pingLine.FindAllStringSubmatch(out, -1) {
		seq, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		if rtts[seq], err = time.ParseDuration(m[2] + "ms"); err != nil {
			return nil, err
		}
	}
	return rtts, nil
}
