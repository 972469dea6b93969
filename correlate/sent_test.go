// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Every ping of the golden traces is sent from this host, but for these.
func TestSent(t *testing.T) {
	want := map[string]bool{
		"reply-only":             false, // the request was not seen
		"started-in-mid-journey": false, // where it was sent was not seen
		"through-a-transit-host": false,
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

// A ping that dies before any device's queue has it is sent from this host as well: its
// root is the sender's, which does not depend on the host.
func TestRootOfPingThatDiedWhereMade(t *testing.T) {
	s := newSim()
	s.request(1).event(dev{ns: guest}, event.KfreeSKB, 8)
	a, _ := run(s.events, correlate.Options{HostID: "a"})
	b, _ := run(s.events, correlate.Options{HostID: "b"})
	if a[0].Root().ID != b[0].Root().ID {
		t.Error("the root depends on the host")
	}
}
