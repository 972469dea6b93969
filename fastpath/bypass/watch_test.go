// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// told writes what the programs have counted of a key.
func told(t *testing.T, b *Bypass, k flow.Key, w plainWatch) {
	t.Helper()
	if err := b.maps[plainMapWatched].Put(key6(&k), w); err != nil {
		t.Fatal(err)
	}
}

func watch(t *testing.T, b *Bypass, keys ...flow.Key) *Watch {
	t.Helper()
	w, err := b.Watch(keys)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func readWatch(t *testing.T, w *Watch) map[flow.Key]WatchCounts {
	t.Helper()
	got, err := w.Read()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Each who watches sees what came since then, and the programs look as long as anybody does.
func TestWatch(t *testing.T) {
	b := newLab(t, 0).open()
	four, six := udp(true, 1), udp(false, 1)
	first := watch(t, b, four)
	told(t, b, four, plainWatch{Fast: 5})
	second := watch(t, b, four, six)
	if n := settings(t, b).Watched; n != 2 {
		t.Errorf("%d are watched", n)
	}
	w := plainWatch{Fast: 7}
	w.Slow[flow.Lease] = 1
	told(t, b, four, w)
	lease := map[flow.Reason]uint64{flow.Lease: 1}
	for name, tt := range map[string]struct {
		w    *Watch
		want map[flow.Key]WatchCounts
	}{
		"first":  {first, map[flow.Key]WatchCounts{four: {Fast: 7, Slow: lease}}},
		"second": {second, map[flow.Key]WatchCounts{four: {Fast: 2, Slow: lease}, six: {Slow: map[flow.Reason]uint64{}}}},
	} {
		got := readWatch(t, tt.w)
		if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b flow.Key) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := readWatch(t, second)[four].Fast; got != 2 {
		t.Errorf("%d packets after the other has closed", got)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if n := settings(t, b).Watched; n != 0 {
		t.Errorf("%d are watched still", n)
	}
	again := watch(t, b, four)
	if got := readWatch(t, again)[four].Fast; got != 0 {
		t.Errorf("%d packets of before", got)
	}
}

// Who asks for too many is told, and leaves nothing behind.
func TestWatchTooMany(t *testing.T) {
	b := newLab(t, 0).open()
	var keys []flow.Key
	for i := range MaxWatched + 1 {
		keys = append(keys, udp(true, i))
	}
	if _, err := b.Watch(keys); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	if n := settings(t, b).Watched; n != 0 {
		t.Errorf("%d are watched", n)
	}
	w := watch(t, b, keys[:MaxWatched]...)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.Watch([]flow.Key{{}}); err == nil {
		t.Error("an invalid key is watched")
	}
}

// Nobody watches after the agent is another.
func TestWatchEndsWithTheAgent(t *testing.T) {
	l := newLab(t, 0)
	b := l.open()
	w := watch(t, b, udp(true, 1))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	b = l.open()
	if n := settings(t, b).Watched; n != 0 {
		t.Errorf("%d are watched", n)
	}
	var k plainKey6
	var v plainWatch
	if b.maps[plainMapWatched].Iterate().Next(&k, &v) {
		t.Errorf("%+v is watched", k)
	}
}
