// SPDX-License-Identifier: Apache-2.0

package gate

import "math"

// Threshold is the highest 32 of the 56 bits of a rejection threshold, as OpenTelemetry's consistent
// probability sampling has it: 0 rejects nothing.
type Threshold uint32

// Passes reports whether a ping is let through of whose randomness these are the highest 32 bits.
func (t Threshold) Passes(randomness uint32) bool { return randomness >= uint32(t) }

// Share returns the part of all pings that is let through.
func (t Threshold) Share() float64 { return 1 - math.Ldexp(float64(t), -32) }

// Level is how many times the share of pings that a gate lets through is halved: to one in 2^k.
type Level uint8

// Threshold returns that of the level: 1-2^-k.
func (l Level) Threshold() Threshold { return math.MaxUint32 << (32 - l) }

// tightest is the highest level that a Controller sets: one ping in a million.
const tightest Level = 20

// of returns what part of those pings that a threshold of all gates lets through the level does.
func (l Level) of(all Threshold) float64 { return min(1, math.Ldexp(1, -int(l))/all.Share()) }

// levelFor returns the lowest level that makes at most share of rate, which is that of a level of 0 with
// a threshold of all gates. A higher level than 0 with the same effect is never it.
func levelFor(rate, share float64, all Threshold) Level {
	var l Level
	for rate*l.of(all) > share && l < tightest {
		l++
	}
	return l
}
