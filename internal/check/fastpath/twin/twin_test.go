// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// Twins that are alike are equal, and most of what is sent gets through.
func TestTwinsAreEqual(t *testing.T) {
	privilegetest.NetNS(t)
	for _, spec := range Specs() {
		t.Run(spec.Name, func(t *testing.T) {
			p, err := NewPair("dwelltest-fasttwin", spec, func(*Network) (Subject, error) { return Alone{}, nil })
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			sent, came := 0, 0
			for seed := range uint64(3) {
				c := NewCase(spec, seed, 1000)
				r, err := p.Run(c)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if r.Difference != "" {
					t.Fatalf("seed %d: %s", seed, r.Difference)
				}
				sent, came = sent+len(c.Steps), came+r.Want.Frames()
			}
			t.Logf("%d sent, %d came out", sent, came)
			if came < sent*6/10 {
				t.Errorf("only %d of %d frames came out", came, sent)
			}
		})
	}
}
