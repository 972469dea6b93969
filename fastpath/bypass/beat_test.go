// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
)

// attended returns until when the programs take user space for being there, in jiffies.
func attended(t testing.TB, b *Bypass) (until uint64) {
	t.Helper()
	if err := b.maps[plainMapAttended].Lookup(uint32(0), &until); err != nil {
		t.Fatal(err)
	}
	return until
}

// slack is by how many jiffies the kernel's time may differ from what is worked out. A CPU that has not run for a
// while counts them late, so tests look again if the difference is larger.
const slack = 2

// User space is there for 3 seconds from the last heartbeat on, and not before the first or after the end.
func TestBeat(t *testing.T) {
	l := newLab(t, 0)
	b := l.open()
	if until := attended(t, b); until != 0 {
		t.Errorf("before the first heartbeat: attended until %d", until)
	}
	eventually(t, "it is 3 seconds", func() []string {
		before := jiffies(t, b)
		if err := b.Beat(); err != nil {
			t.Fatal(err)
		}
		after := jiffies(t, b)
		if until, length := attended(t, b), uint64(3*b.kernel.hz); until+slack < before+length || until > after+length+slack {
			return []string{fmt.Sprintf("attended until %d, want %d to %d", until, before+length, after+length)}
		}
		return nil
	})
	attends := func(want bool) {
		t.Helper()
		if got, err := Attended(l.pin); err != nil || got != want {
			t.Errorf("attended: %v, want %v: %v", got, want, err)
		}
	}
	attends(true)
	if err := b.maps[plainMapAttended].Put(uint32(0), jiffies(t, b)-uint64(b.kernel.hz)); err != nil { // as if 4 seconds were over
		t.Fatal(err)
	}
	attends(false)
	if err := b.Rest(); err != nil {
		t.Fatal(err)
	}
	if until := attended(t, b); until != 0 {
		t.Errorf("at rest: attended until %d", until)
	}
	attends(false)
	if got, err := Attended(newPin(t)); got || err != nil {
		t.Errorf("attended without anything there: %v, %v", got, err)
	}
}

// The length of a jiffy is what it is by the kernel's clocks, and the time between heartbeats is known.
func TestJiffies(t *testing.T) {
	b := newLab(t, 0).open()
	first := *b.clock.Load()
	const moved = 100
	known := false
	eventually(t, "jiffies are as long as they should be", func() []string {
		last := jiffies(t, b)
		var args plainBeatArgs
		if _, err := b.programs[plainProgBeat].Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
			t.Fatal(err)
		}
		next := jiffies(t, b) // a machine that has much to do may stop anywhere here
		known = known || args.Jiffies+slack >= last && args.Jiffies <= next+slack
		if args.Jiffies < first.jiffies+moved || !known {
			return []string{fmt.Sprintf("it is %d jiffies, and was taken for %d to %d, since %d", args.Jiffies, last, next, first.jiffies)}
		}
		hz := float64(args.Jiffies-first.jiffies) * 1e9 / float64(args.Ns-first.ns)
		if want := float64(b.kernel.hz); hz < want*0.95 || hz > want*1.05 {
			return []string{fmt.Sprintf("%.1f jiffies a second, want %v", hz, want)}
		}
		return nil
	})
}
