// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// snapshot has the files of a directory: what the next process finds after a kill.
type snapshot map[string][]byte

func snap(t rapid.TB, dir string) snapshot {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := snapshot{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}

// restore makes the directory what it was.
func (s snapshot) restore(t rapid.TB, dir string) {
	for name := range snap(t, dir) {
		os.Remove(filepath.Join(dir, name))
	}
	for name, b := range s {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// tear undoes the last part of a write that has made a file longer than before, as a kill
// in the middle of it does.
func (s snapshot) tear(t *rapid.T, before snapshot) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !isSegment(name) {
			continue
		}
		old, now := len(before[name]), len(s[name])
		if now > old && bytes.Equal(s[name][:old], before[name]) {
			s[name] = s[name][:rapid.IntRange(old, now).Draw(t, "torn at")]
		}
	}
}

// killer takes a snapshot at a moment within what a spool does.
type killer struct {
	mu sync.Mutex
	// after is how many moments are to pass, negative if it is not armed.
	after int
	taken snapshot
}

// watch has the killer count moments: before and after each write of the account, between
// which the spool does one thing to its other files.
func (k *killer) watch(t rapid.TB, s *spool.Spool, dir string) {
	k.arm(-1)
	spool.OnAccount(s, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.after == 0 {
			k.taken = snap(t, dir)
		}
		k.after--
	})
}

// arm has it take a snapshot after so many moments.
func (k *killer) arm(after int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after, k.taken = after, nil
}

// disarm returns the snapshot, nil if the moment has not come.
func (k *killer) disarm() snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after = -1
	return k.taken
}

// TestSnapshotTears tests the tool itself: only what grew is torn, and not below what was
// there before.
func TestSnapshotTears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := snapshot{"1.seg": []byte("old"), "account": []byte("a")}
		const whole, next = "old and new", "next"
		after := snapshot{"1.seg": []byte(whole), "2.seg": []byte(next), "account": []byte("ab")}
		after.tear(t, before)
		one, two := string(after["1.seg"]), string(after["2.seg"])
		if !strings.HasPrefix(one, "old") || one != whole[:len(one)] || two != next[:len(two)] || string(after["account"]) != "ab" {
			t.Errorf("%q", after)
		}
	})
}
