// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
)

// Every ping of the golden traces is sent from this host, but for these.
func TestSent(t *testing.T) {
	want := map[string]bool{
		"reply-only":             false, // the request was not seen
		"started-in-mid-journey": false, // where it was sent was not seen
		"through-a-transit-host": false,
		"dropped-where-made":     false,
	}
	got := map[string]bool{}
	for _, g := range golden {
		s := newSim()
		g.what(s)
		traces, _ := run(s.events, correlate.Options{})
		for _, tr := range traces {
			if !tr.Sent {
				got[g.name] = tr.Sent
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
