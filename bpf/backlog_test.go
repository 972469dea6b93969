// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order of filling and emptying, records come out as they went in, no more
// memory is held than is allowed, and there is room whenever less is.
func TestBacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ring := os.Getpagesize() << rapid.IntRange(0, 3).Draw(t, "ring")
		b, err := newBacklog(ring)
		if err != nil {
			t.Fatal(err)
		}
		var reading []*chunk // taken and not given back
		in, out, bytes := uint64(0), uint64(0), 0
		t.Repeat(map[string]func(*rapid.T){
			"fill": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "records") {
					room := b.room()
					if room == nil {
						if held := (len(b.chunks) + len(reading)) * b.chunkBytes; held < backlogFactor*ring {
							t.Fatalf("no room with %d bytes held", held)
						}
						return
					}
					n := rapid.SampledFrom([]int{headSize + 8, 96, 136, widestRecord}).Draw(t, "size")
					binary.NativeEndian.PutUint64(room[:n], in)
					binary.NativeEndian.PutUint64(room[8:n], uint64(n))
					b.keep(n)
					in, bytes = in+1, bytes+n
				}
			},
			"take": func(t *rapid.T) {
				c := b.next()
				if c == nil {
					return
				}
				for c.read < c.used {
					record := c.mem[c.read:c.used]
					if got := binary.NativeEndian.Uint64(record); got != out {
						t.Fatalf("record %d, want %d", got, out)
					}
					n := int(binary.NativeEndian.Uint64(record[8:]))
					c.read += n
					out, bytes = out+1, bytes-n
				}
				reading = append(reading, c)
			},
			"give back": func(t *rapid.T) {
				if len(reading) == 0 {
					return
				}
				if err := b.giveBack(reading[0]); err != nil {
					t.Fatal(err)
				}
				reading = reading[1:]
			},
			"": func(t *rapid.T) {
				if b.bytes != bytes {
					t.Fatalf("%d bytes unread, want %d", b.bytes, bytes)
				}
				if held := (len(b.chunks) + len(reading)) * b.chunkBytes; held > backlogFactor*ring {
					t.Fatalf("holds %d bytes, the ring has %d", held, ring)
				}
			},
		})
		for _, c := range reading {
			if err := b.giveBack(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
	})
}
