// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
)

// The verdicts that packets of a box may have are those that they have.
func TestVerdicts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, err := diagram.Compile(drawRules(t), diagram.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var box header.Box
		limits := map[header.Word][]uint32{}
		for _, w := range words() {
			most := w.Max()
			if w != header.State && w != header.Origin {
				most = values
			}
			n := rapid.SliceOfN(rapid.Uint32Range(0, most), 1, 3).Draw(t, "values")
			limits[w], box[w] = n, header.Values(n...)
		}
		for w := range box {
			if box[w] == nil {
				box[w] = header.Values(0)
			}
		}
		var want [3]bool
		var all func(p header.Packet, left []header.Word)
		all = func(p header.Packet, left []header.Word) {
			if len(left) == 0 {
				_, o := d.Judge(&p)
				want[o.Verdict] = true
				return
			}
			for _, v := range limits[left[0]] {
				p.Words[left[0]] = v
				all(p, left[1:])
			}
		}
		all(header.Packet{Family: header.V4}, words())
		if got := d.Verdicts(&box); got != want {
			t.Fatalf("verdicts %v, want %v", got, want)
		}
	})
}
