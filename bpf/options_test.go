// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"os"
	"testing"
)

func TestRingBytes(t *testing.T) {
	page := uint32(os.Getpagesize())
	for _, tt := range []struct {
		in   int
		want uint32 // 0: an error
	}{
		{0, DefaultRingBytes},
		{1, page},
		{int(page), page},
		{int(page) + 1, 2 * page},
		{100 << 20, 128 << 20},
		{1 << 30, 1 << 30},
		{1<<30 + 1, 0},
		{-1, 0},
	} {
		got, err := Options{RingBytes: tt.in}.ringBytes()
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("RingBytes %d: %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
}

// TestWakeBeforeFull: between two looks at the ring, one CPU cannot fill what was
// free at the first.
func TestWakeBeforeFull(t *testing.T) {
	for ring := uint32(4096); ring <= 1<<30; ring *= 2 {
		threshold, mask := wake(ring)
		if mask&(mask+1) != 0 {
			t.Errorf("ring %d: mask %b", ring, mask)
		}
		if filled := threshold + (mask+1)*widestRecord; filled > uint64(ring)/2 {
			t.Errorf("ring %d: %d bytes unread before the wake-up", ring, filled)
		}
	}
}

func TestVXLANPorts(t *testing.T) {
	for _, tt := range []struct {
		ports []uint16
		ok    bool
	}{
		{nil, true},
		{[]uint16{}, true},
		{[]uint16{0}, false},
		{make9(), false},
		{make9()[1:], true},
	} {
		spec, err := loadKernel()
		if err != nil {
			t.Fatal(err)
		}
		if err := (Options{VXLANPorts: tt.ports}).apply(spec); (err == nil) != tt.ok {
			t.Errorf("ports %v: %v", tt.ports, err)
		}
	}
}

func make9() []uint16 { return []uint16{1, 2, 3, 4, 5, 6, 7, 8, 9} }
