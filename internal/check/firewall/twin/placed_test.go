// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// newPlacedPair makes twins of which the second has its rules where dwell puts them.
func newPlacedPair(t *testing.T, backend string) *Pair {
	t.Helper()
	dir := t.TempDir()
	p, err := NewPair("dwelltest-placed-"+backend, backend, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		// The BPF file system that the firewall has mounted, if it still is.
		if err := unix.Unmount(filepath.Join(dir, "bpf"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
	})
	return p
}

func placed(p *Pair) *Placed { return p.Subject.Subject.(*Placed) }

// What is easy to do otherwise than iptables is done as iptables does it; and what can be dropped
// at TC is dropped there.
func TestTrapsAreAvoided(t *testing.T) {
	for _, backend := range Backends {
		p := newPlacedPair(t, backend)
		for _, tr := range traps() {
			t.Run(backend+"/"+tr.name, func(t *testing.T) {
				before := placed(p).Judged.Dropped
				tr.run(t, p)
				if got := placed(p).Judged.Dropped - before; got != tr.dropped {
					t.Errorf("%d packets were dropped at TC, want %d; deferred: %v", got, tr.dropped, placed(p).Judged.Deferred)
				}
			})
		}
	}
}

// Rules and packets at random: `make verify-firewall` runs many more.
func TestPlacedIsEqual(t *testing.T) {
	for _, backend := range Backends {
		t.Run(backend, func(t *testing.T) {
			p := newPlacedPair(t, backend)
			for seed := range uint64(25) {
				c := NewCase(seed, 400)
				r, err := p.Run(c)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if r.Difference != "" {
					t.Fatalf("seed %d: %s\n%s\n`go run ./internal/check/firewall/verify --first %d --sets 1 --packets 400` makes it smaller", seed, r.Difference, c.Rules.Tenant(), seed)
				}
			}
			if j := placed(p).Judged; j.Dropped == 0 || j.Passed == 0 || len(j.Deferred) < 5 {
				t.Errorf("the cases show little of what TC does: %+v", j)
			}
		})
	}
}
