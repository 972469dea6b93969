// SPDX-License-Identifier: Apache-2.0

package gate

// Level says which pings a gate lets through. At level 0 it is open. At level k it lets those
// through of whose hash the k highest bits are 0: about one in 2^k, and all that higher levels
// let through.
type Level uint8

// tightest is the highest level that a Controller sets: one ping in a million.
const tightest Level = 20

// Passes reports whether a ping with that hash is let through.
func (l Level) Passes(hash uint64) bool { return hash>>(64-l) == 0 || l == 0 }

// levelFor returns the lowest level that makes at most share of rate.
func levelFor(rate, share float64) Level {
	var l Level
	for rate > share && l < tightest {
		rate /= 2
		l++
	}
	return l
}
