// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// settings returns what the programs read.
func settings(t testing.TB, b *Bypass) (s plainSetting) {
	t.Helper()
	if err := b.maps[plainMapSettings].Lookup(uint32(0), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// raised returns by how much the epochs have grown, which ones did.
func raised(t testing.TB, b *Bypass, before []uint64) map[int]uint64 {
	t.Helper()
	grown := map[int]uint64{}
	for i, n := range numbers(t, b) {
		if n != before[i] {
			grown[i] = n - before[i]
		}
	}
	return grown
}

// numbers returns all epochs.
func numbers(t testing.TB, b *Bypass) []uint64 {
	t.Helper()
	list := make([]uint64, epochs)
	for i := range list {
		if err := b.maps[plainMapEpochs].Lookup(uint32(i), &list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// Each change raises the number of all changes, and that of whom it concerns.
func TestChanged(t *testing.T) {
	b := newLab(t, 0).open()
	for _, tt := range []struct {
		slots []uint16
		want  map[int]uint64
	}{
		{nil, map[int]uint64{epochAny: 1, epochAll: 1}},
		{[]uint16{0}, map[int]uint64{epochAny: 1, epochAll: 1}},
		{[]uint16{3}, map[int]uint64{epochAny: 1, 3: 1}},
		{[]uint16{3, 255}, map[int]uint64{epochAny: 1, 3: 1, 255: 1}},
		{[]uint16{3, 0}, map[int]uint64{epochAny: 1, epochAll: 1}},
		{[]uint16{3, MaxTenants}, map[int]uint64{epochAny: 1, epochAll: 1}},
	} {
		before := numbers(t, b)
		b.Changed(tt.slots...)
		if diff := cmp.Diff(tt.want, raised(t, b, before)); diff != "" {
			t.Errorf("Changed(%d) (-want +got):\n%s", tt.slots, diff)
		}
	}
}

// No change is lost when several tell of one.
func TestChangedByMany(t *testing.T) {
	const goroutines, each = 8, 2000
	b := newLab(t, 0).open()
	before := numbers(t, b)
	var done sync.WaitGroup
	for range goroutines {
		done.Go(func() {
			for range each {
				b.Changed(1)
				b.NewApproval()
			}
		})
	}
	done.Wait()
	if diff := cmp.Diff(map[int]uint64{epochAny: goroutines * each, 1: goroutines * each}, raised(t, b, before)); diff != "" {
		t.Errorf("raised (-want +got):\n%s", diff)
	}
	if got := b.Approval(); got != 1+goroutines*each {
		t.Errorf("%d approvals", got)
	}
}

// Who sees that a tenant's number has been raised sees that the number of all has been raised before.
func TestAnyIsRaisedFirst(t *testing.T) {
	b := newLab(t, 0).open()
	any0, one0 := atomic.LoadUint64(&b.memory.epochs[epochAny]), atomic.LoadUint64(&b.memory.epochs[1])
	var slots []uint16 // many, so that it takes a while
	for slot := range uint16(MaxTenants - 1) {
		slots = append(slots, slot+1)
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				b.Changed(slots...)
			}
		}
	})
	for all := uint64(0); all < 20_000; {
		one := atomic.LoadUint64(&b.memory.epochs[1]) - one0
		if all = atomic.LoadUint64(&b.memory.epochs[epochAny]) - any0; all < one {
			t.Errorf("%d changes of the tenant are seen, and %d of any", one, all)
			break
		}
	}
	close(stop)
	done.Wait()
}

// Settings are in force at once, and those that are not valid are refused.
func TestSettings(t *testing.T) {
	b := newLab(t, 0).open()
	hz := b.kernel.hz
	want := plainSetting{Approval: 1, Lease: 10 * hz, Agreed: 2}
	check := func(what string) {
		t.Helper()
		if diff := cmp.Diff(want, settings(t, b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("at first")
	b.Hold(true)
	want.Held = 1
	check("held")
	b.Hold(false)
	want.Held = 0
	check("released")
	for d, ok := range map[time.Duration]bool{0: false, -time.Second: false, time.Nanosecond: false, time.Minute + 1: false, 2 * time.Second: true} {
		if err := b.SetLease(d); (err == nil) != ok {
			t.Errorf("lease %v: %v", d, err)
		}
	}
	want.Lease = 2 * hz
	check("lease")
	for n, ok := range map[int]bool{0: false, -1: false, math.MaxUint16 + 1: false, 5: true} {
		if err := b.SetAgreed(n); (err == nil) != ok {
			t.Errorf("%d packets: %v", n, err)
		}
	}
	want.Agreed = 5
	check("agreed")
	if err := b.SetTunnels(4789); err != nil {
		t.Error(err)
	}
	want.Ports = uint32(binary.NativeEndian.Uint16([]byte{4789 >> 8, 4789 & 0xff}))
	check("tunnels")
	if got := b.NewApproval(); got != 2 || b.Approval() != 2 {
		t.Errorf("approval %d", got)
	}
	want.Approval = 2
	check("approval")
	atomic.StoreUint32(&b.memory.settings.Approval, math.MaxUint32)
	if got := b.NewApproval(); got != 1 {
		t.Errorf("after the last number comes %d", got)
	}
}

// After Close nothing is written, and nothing is asked.
func TestAfterClose(t *testing.T) {
	l := newLab(t, 0)
	b := l.open()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.Hold(true)
	b.Changed()
	if n := b.NewApproval() + b.Approval(); n != 0 {
		t.Errorf("approval %d", n)
	}
	_, errFlush := b.Flush(0)
	_, errUsage := b.Usage()
	_, errRoom := b.Room()
	_, errRepin := b.Repin()
	for name, err := range map[string]error{
		"Beat": b.Beat(), "SetDevices": b.SetDevices(nil), "SetTenants": b.SetTenants(nil), "Flush": errFlush, "Usage": errUsage, "Room": errRoom, "Repin": errRepin,
	} {
		if err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
}
