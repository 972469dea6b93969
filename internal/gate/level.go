// SPDX-License-Identifier: Apache-2.0

package gate

import "math"

// Threshold is the highest 32 of the 56 bits of a rejection threshold, as OpenTelemetry's consistent
// probability sampling has it: 0 rejects nothing.
type Threshold uint32

// Passes reports whether a ping is let through of whose randomness these are the highest 32 bits.
func (t Threshold) Passes(randomness uint32) bool { return randomness >= uint32(t) }

// Level is how many times the share of pings that a gate lets through is halved: to one in 2^k.
type Level uint8

// Threshold returns that of the level: 1-2^-k.
func (l Level) Threshold() Threshold { return math.MaxUint32 << (32 - l) }

// tightest is the highest level that a Controller sets: one ping in a million.
const tightest Level = 20

// levelFor returns the lowest level that makes at most share of rate.
func levelFor(rate, share float64) Level {
	var l Level
	for rate > share && l < tightest {
		rate /= 2
		l++
	}
	return l
}
