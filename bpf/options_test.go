// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"maps"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
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

func TestPerCPU(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		ring uint32
		cpus int
		want uint64
	}{
		{64 * mib, 1, 64 * mib},
		{64 * mib, 3, 32 * mib},
		{64 * mib, 256, mib},
		{1024 * mib, 1, 256 * mib},
		{1024 * mib, 256, 4 * mib},
		{4096, 256, 4096},
	} {
		if got := perCPU(tt.ring, tt.cpus); got != tt.want {
			t.Errorf("%d bytes for %d CPUs: %d each, want %d", tt.ring, tt.cpus, got, tt.want)
		}
	}
	// So that the reader cannot miss that the count of records went round.
	if maxPerCPU/endSize > countMask {
		t.Error("more records than are counted may be written between two looks")
	}
}

func TestLastCPU(t *testing.T) {
	for list, want := range map[string]int{"0\n": 0, "0-3\n": 3, "0-3,8-11\n": 11, "0,2": 2, "": -1, "0-": -1, "none": -1} {
		got, err := lastCPU(list)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", list, got, err)
		}
	}
}

// There is a ring for each CPU that this process may run on.
func TestRunningCPUs(t *testing.T) {
	n, err := runningCPUs()
	if err != nil {
		t.Fatal(err)
	}
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if may.IsSet(cpu) && cpu >= n {
			t.Errorf("this may run on CPU %d, of which there are %d", cpu, n)
		}
	}
}

// TestWakeBeforeFull: between two looks at the ring, one CPU cannot fill what was
// free at the first.
func TestWakeBeforeFull(t *testing.T) {
	for ring := uint64(4096); ring <= 1<<30; ring *= 2 {
		threshold, step := wake(ring)
		if step&(step-1) != 0 {
			t.Errorf("ring %d: step %b", ring, step)
		}
		if filled := threshold + step + widestRecord; filled > ring/2 {
			t.Errorf("ring %d: %d bytes unread before the wake-up", ring, filled)
		}
	}
}

func TestTunnelPorts(t *testing.T) {
	for _, tt := range []struct {
		options []uint16
		more    map[uint16]PortKind
		want    map[uint16]PortKind
	}{
		{nil, nil, map[uint16]PortKind{4789: PortVXLAN, 8472: PortVXLAN}},
		{[]uint16{}, nil, nil},
		{[]uint16{1, 65535}, nil, map[uint16]PortKind{1: PortVXLAN, 65535: PortVXLAN}},
		{[]uint16{1}, map[uint16]PortKind{0: PortGUE, 2: PortGeneve}, map[uint16]PortKind{1: PortVXLAN, 2: PortGeneve}},
	} {
		want := map[uint16]PortKind{4790: PortVXLAN, 6081: PortGeneve, 4754: PortFOUGRE}
		maps.Copy(want, tt.want)
		kinds, err := Options{VXLANPorts: tt.options}.tunnelPorts(tt.more)
		if err != nil {
			t.Fatal(err)
		}
		got := map[uint16]PortKind{}
		for port, kind := range kinds {
			if kind != 0 {
				got[uint16(port)] = kind
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ports %v and %v (-want +got):\n%s", tt.options, tt.more, diff)
		}
	}
	if _, err := (Options{VXLANPorts: []uint16{0}}).tunnelPorts(nil); err == nil {
		t.Error("port 0 is accepted")
	}
}
