// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// count writes what the CPUs have counted, each the same, and returns how many they are.
func count(t testing.TB, b *Bypass, slot uint16, d flow.Direction, c plainCount) int {
	t.Helper()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	each := make([]plainCount, cpus)
	for i := range each {
		each[i] = c
	}
	if err := b.maps[plainMapCounts].Put(uint32(slot)*directions+uint32(d), each); err != nil {
		t.Fatal(err)
	}
	return cpus
}

// Counts are those of all CPUs, by slot and direction, from the first slot to the last.
func TestCounts(t *testing.T) {
	b := newLab(t, 0).open()
	if got, err := b.Counts(); err != nil || len(got) != 0 {
		t.Errorf("at first: %+v, %v", got, err)
	}
	c := plainCount{Fast: 1, Bytes: 2, Same: 3, Differ: 4, Learnt: 5}
	c.Slow[flow.Unknown], c.Slow[flow.Mismatch], c.Unlearnt[flow.Differs], c.Unlearnt[flow.Mismatch] = 6, 7, 8, 9
	var want []Counts
	for _, at := range []Counts{{Slot: 0, Direction: flow.ToTenant}, {Slot: 7, Direction: flow.FromTenant}, {Slot: 7, Direction: flow.ToTenant}, {Slot: 255, Direction: flow.ToTenant}} {
		n := uint64(count(t, b, at.Slot, at.Direction, c))
		at.Fast, at.Bytes, at.Same, at.Differ, at.Doubts, at.Learnt = n, 2*n, 3*n, 13*n, 9*n, 5*n
		at.Slow = map[flow.Reason]uint64{flow.Unknown: 6 * n, flow.Mismatch: 7 * n}
		at.Unlearnt = map[flow.Reason]uint64{flow.Differs: 8 * n}
		want = append(want, at)
	}
	got, err := b.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestUnasked(t *testing.T) {
	b := newLab(t, 0).open()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	each := make([]uint64, cpus)
	for i := range each {
		each[i] = 3
	}
	if err := b.maps[plainMapUnasked].Put(uint32(0), each); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Unasked(); err != nil || got != uint64(3*cpus) {
		t.Errorf("%d, want %d: %v", got, 3*cpus, err)
	}
}
