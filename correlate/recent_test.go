// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"testing"

	"pgregory.net/rapid"
)

// What was closed lately is known with the time of its last closing, and nothing else: neither
// what was closed too long ago, nor keys of the same hash.
func TestRecentRemembersTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 8
		r := newRecent(size)
		key := rapid.Custom(func(t *rapid.T) flowKey {
			return flowKey{id: rapid.SampledFrom([]uint16{0, 0, 0, 1, 2, 3}).Draw(t, "id"), echo: echoKey{seq: rapid.Uint16Range(0, 20).Draw(t, "seq")}}
		})
		var closed []flowKey
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "close") {
				k := key.Draw(t, "closed")
				closed = append(closed, k)
				r.add(k, uint64(len(closed)))
				continue
			}
			k := key.Draw(t, "asked")
			var want uint64
			for i := max(0, len(closed)-size); i < len(closed); i++ {
				if closed[i] == k {
					want = uint64(i + 1)
				}
			}
			if got, ok := r.lastOf(k); got != want || ok != (want != 0) {
				t.Fatalf("%v: %d, %v, want %d", k, got, ok, want)
			}
		}
	})
}
