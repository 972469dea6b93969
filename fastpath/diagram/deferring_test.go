// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

// Boxes that are deferred before a diagram are like boxes that are deferred in it.
func TestDeferring(t *testing.T) {
	some := header.Box{header.Dst0: header.Range(0x0a000000, 0x7fffffff)}
	tcp := header.Box{header.Proto: header.Values(header.TCP), header.Dport: header.Range(20, 5000)}
	for name, boxes := range map[string][]header.Box{"none": nil, "one": {some}, "two": {some, tcp}, "all": {{}}} {
		for _, f := range synth.Flavours() {
			rules := synth.Make(f, 300, 1).Set()
			d, err := diagram.Compile(rules, diagram.Options{})
			if err != nil {
				t.Fatal(err)
			}
			first, err := d.Deferring(header.V4, boxes)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Verify(rules, diagram.Options{Defer: boxes}, 1); err != nil {
				t.Errorf("%s, %s: %v", name, f, err)
			}
		}
	}
}
