// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// watching is which keys are watched, and by how many.
type watching struct {
	mu sync.Mutex
	by map[plainKey6]int
}

// Watch counts what becomes of the packets of some keys.
type Watch struct {
	b     *Bypass
	keys  map[flow.Key]plainKey6
	start map[plainKey6]plainWatch
}

// Watch counts what becomes of the packets of these keys, until it is closed. ErrFull if there are too many.
func (b *Bypass) Watch(keys []flow.Key) (*Watch, error) {
	w := &Watch{b: b, keys: map[flow.Key]plainKey6{}, start: map[plainKey6]plainWatch{}}
	for _, k := range keys {
		if err := checkKey(&k); err != nil {
			return nil, fmt.Errorf("watch flows: %w", err)
		}
		w.keys[k] = key6(&k)
	}
	if err := b.watch(w); err != nil {
		return nil, fmt.Errorf("watch flows: %w", err)
	}
	return w, nil
}

func (b *Bypass) watch(w *Watch) error {
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	b.watching.mu.Lock()
	defer b.watching.mu.Unlock()
	begun := map[plainKey6]bool{}
	for _, k := range w.keys {
		if begun[k] { // IPv4 and IPv6 can have the same words
			continue
		}
		start, err := b.watchKey(k)
		if err != nil {
			return errors.Join(err, b.unwatchKeys(begun))
		}
		begun[k], w.start[k] = true, start
	}
	return nil
}

// watchKey lets the programs count for a key, and returns what they have counted for others.
func (b *Bypass) watchKey(k plainKey6) (start plainWatch, err error) {
	m := b.maps[plainMapWatched]
	if b.watching.by[k] > 0 {
		err = m.Lookup(k, &start)
	} else {
		err = m.Put(k, plainWatch{})
	}
	if isFull(err) {
		return start, fmt.Errorf("%w: %d keys are watched, which is all that there is room for", ErrFull, MaxWatched)
	}
	if err != nil {
		return start, err
	}
	b.watching.by[k]++
	b.countWatched()
	return start, nil
}

// unwatchKeys ends the counting for keys that nobody else watches.
func (b *Bypass) unwatchKeys(keys map[plainKey6]bool) error {
	var errs []error
	for k := range keys {
		if b.watching.by[k]--; b.watching.by[k] > 0 {
			continue
		}
		delete(b.watching.by, k)
		if err := b.maps[plainMapWatched].Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, err)
		}
	}
	b.countWatched()
	return errors.Join(errs...)
}

// countWatched tells the programs whether they have to look.
func (b *Bypass) countWatched() {
	b.memory.set(func(s *plainSetting) *uint32 { return &s.Watched }, uint32(len(b.watching.by)))
}

// unwatch ends what another process has watched.
func (b *Bypass) unwatch() error {
	b.watching.by = map[plainKey6]int{}
	b.countWatched()
	m := b.maps[plainMapWatched]
	var keys []plainKey6
	var k plainKey6
	var w plainWatch
	all := m.Iterate()
	for all.Next(&k, &w) {
		keys = append(keys, k)
	}
	if err := all.Err(); err != nil {
		return err
	}
	for _, k := range keys {
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// Read returns what became of the keys' packets so far.
func (w *Watch) Read() (map[flow.Key]WatchCounts, error) {
	release, err := w.b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	all := map[flow.Key]WatchCounts{}
	for key, k := range w.keys {
		var now plainWatch
		if err := w.b.maps[plainMapWatched].Lookup(k, &now); err != nil {
			return nil, fmt.Errorf("read what became of a flow's packets: %w", err)
		}
		start := w.start[k]
		c := WatchCounts{Fast: now.Fast - start.Fast, Slow: map[flow.Reason]uint64{}}
		for r := range now.Slow {
			now.Slow[r] -= start.Slow[r]
		}
		addReasons(c.Slow, now.Slow[:])
		all[key] = c
	}
	return all, nil
}

// Close ends the counting. It is no error to close again.
func (w *Watch) Close() error {
	release, err := w.b.use()
	if errors.Is(err, errClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	w.b.watching.mu.Lock()
	defer w.b.watching.mu.Unlock()
	keys := map[plainKey6]bool{}
	for k := range w.start {
		keys[k] = true
	}
	clear(w.start)
	return w.b.unwatchKeys(keys)
}
