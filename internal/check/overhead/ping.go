// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// sample is what one flood gave.
type sample struct {
	// rtt is the mean that ping prints; its resolution is a microsecond.
	rtt time.Duration
	// elapsed is from the first ping to the last reply.
	elapsed        time.Duration
	sent, received int
	// lost counts what the watcher did not see: events, or perf's chunks.
	lost int
	// traces by outcome; nil for a watcher that makes none.
	traces map[string]int
}

func (s sample) rate() float64 { return float64(s.sent) / s.elapsed.Seconds() }

// The summary of iputils' ping -q in the C locale.
var (
	pingCounts = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received,.* time (\d+)ms`)
	pingRTT    = regexp.MustCompile(`rtt min/avg/max/mdev = [\d.]+/([\d.]+)/`)
)

func parsePing(out string) (sample, error) {
	counts, rtt := pingCounts.FindStringSubmatch(out), pingRTT.FindStringSubmatch(out)
	if counts == nil || rtt == nil {
		return sample{}, fmt.Errorf("no summary of iputils' ping in %q", out)
	}
	mean, err := time.ParseDuration(rtt[1] + "ms")
	if err != nil {
		return sample{}, fmt.Errorf("mean RTT in %q: %w", rtt[0], err)
	}
	numbers := make([]int, len(counts)-1)
	for i, digits := range counts[1:] {
		if numbers[i], err = strconv.Atoi(digits); err != nil {
			return sample{}, fmt.Errorf("counts in %q: %w", counts[0], err)
		}
	}
	elapsed := time.Duration(max(numbers[2], 1)) * time.Millisecond
	return sample{rtt: mean, elapsed: elapsed, sent: numbers[0], received: numbers[1]}, nil
}
