// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// With the fast path each frame is the kernel's, and most take it.
func TestProgramsAreEqual(t *testing.T) {
	privilegetest.BPF(t)
	for _, spec := range Specs() {
		if spec.Overlay != Plain && (spec.NAT || spec.Track) {
			continue // the tunnel's source port is another than the kernel's
		}
		t.Run(spec.Name, func(t *testing.T) {
			var d *Driven
			dir := t.TempDir()
			p, err := NewPair("dwelltest-fasttwin", spec, func(n *Network) (s Subject, err error) {
				d, err = NewDriven(n, dir)
				return d, err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			overtook := 0
			for seed := range uint64(4) {
				c := NewCase(spec, seed, 1200)
				r, err := p.Run(c)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if r.Difference != "" {
					t.Fatalf("seed %d: %s", seed, r.Difference)
				}
				overtook += r.Overtook
			}
			counts, err := d.Counts()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s; %d overtook", counts.String(), overtook)
			if counts.Differ > 0 && spec.Overlay == Plain {
				t.Errorf("%d packets were foretold wrong", counts.Differ)
			}
			if counts.Share() < 0.3 {
				t.Errorf("only %.0f %% were fast: the comparison says little", 100*counts.Share())
			}
		})
	}
}
