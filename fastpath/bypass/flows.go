// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// chunk is how many entries are read at once: more than any bucket of the maps has.
const chunk = 2048

// Get returns a flow, or ErrGone.
func (b *Bypass) Get(k flow.Key) (*flow.Flow, error) {
	f, err := b.get(&k)
	if err != nil {
		return nil, fmt.Errorf("look up a flow: %w", err)
	}
	return f, nil
}

func (b *Bypass) get(k *flow.Key) (*flow.Flow, error) {
	if err := checkKey(k); err != nil {
		return nil, err
	}
	release, err := b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	var e plainFlow
	if is4(k) {
		err = b.maps[plainMapFlows4].Lookup(key4(k), &e)
	} else {
		err = b.maps[plainMapFlows6].Lookup(key6(k), &e)
	}
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	now, err := b.now()
	if err != nil {
		return nil, err
	}
	f := b.flowOf(&e, *k, now)
	return &f, nil
}

// Flows passes all flows until the function returns false. Each that is there all the time is passed once.
func (b *Bypass) Flows(fn func(*flow.Flow) bool) error {
	if err := b.each(fn); err != nil {
		return fmt.Errorf("list flows: %w", err)
	}
	return nil
}

func (b *Bypass) each(fn func(*flow.Flow) bool) error {
	more, err := eachOf(b, plainMapFlows4, func(k *plainKey4) flow.Key { return flowKey(true, k.wide()) }, fn)
	if err != nil || !more {
		return err
	}
	_, err = eachOf(b, plainMapFlows6, func(k *plainKey6) flow.Key { return flowKey(false, k) }, fn)
	return err
}

// eachOf passes the flows of a map, and reports whether the function wants more.
func eachOf[K any](b *Bypass, name string, key func(*K) flow.Key, fn func(*flow.Flow) bool) (bool, error) {
	var cursor ebpf.MapBatchCursor
	keys, entries := make([]K, chunk), make([]plainFlow, chunk)
	for {
		flows, more, err := readChunk(b, name, &cursor, keys, entries, key)
		if err != nil {
			return false, err
		}
		// Nothing is held meanwhile: the function may do with b what it likes.
		for i := range flows {
			if !fn(&flows[i]) {
				return false, nil
			}
		}
		if !more {
			return true, nil
		}
	}
}

// readChunk returns the next flows of a map, and whether there are more.
func readChunk[K any](b *Bypass, name string, cursor *ebpf.MapBatchCursor, keys []K, entries []plainFlow, key func(*K) flow.Key) ([]flow.Flow, bool, error) {
	release, err := b.use()
	if err != nil {
		return nil, false, err
	}
	defer release()
	n, err := b.maps[name].BatchLookup(cursor, keys, entries, nil)
	last := errors.Is(err, ebpf.ErrKeyNotExist)
	if err != nil && !last {
		return nil, false, fmt.Errorf("map %s: %w", name, err)
	}
	now, err := b.now()
	if err != nil {
		return nil, false, err
	}
	flows := make([]flow.Flow, n)
	for i := range flows {
		flows[i] = b.flowOf(&entries[i], key(&keys[i]), now)
	}
	return flows, !last, nil
}
