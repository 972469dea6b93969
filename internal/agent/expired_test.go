// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// A ping whose time to live runs out, as traceroute sends them, is not a drop: it says
// where that was, and who said so, and nothing in it is an error.
func TestTimeToLiveRunsOut(t *testing.T) {
	privilegetest.BPF(t)
	for _, c := range []struct {
		topology string
		v6       bool
		ttl      int
		service  string
		typ      int64
	}{
		{"bridge", false, 1, "hypervisor", 11},
		{"routed", false, 2, "hypervisor", 11},
		{"routed", true, 1, "router", 3},
	} {
		t.Run(fmt.Sprintf("%s, v6 %v", c.topology, c.v6), func(t *testing.T) {
			l := up(t, c.topology)
			guest := at(t, l, lab.Guest)
			e := echo{target: l.Target(c.v6), id: 77, seq: 1, payload: clockPayload(56), ttl: c.ttl}
			onEvent, died := ended(1, func(ev *event.Event) bool { return ev.Type == event.EchoRequest })
			roots, sum := exported(t, []*lab.Lab{l}, agent.Options{OnEvent: onEvent}, func() {
				if err := guest.send(e); err != nil {
					t.Fatal(err)
				}
				await(t, died)
			})
			if len(roots) != 1 || sum.Other[trace.Expired] != 1 {
				t.Fatalf("%s\n%v", sum, roots)
			}
			checkExpired(t, roots[0], c.service, c.typ)
		})
	}
}

func checkExpired(t *testing.T, root *node, service string, typ int64) {
	t.Helper()
	checkTiling(t, root)
	if got := root.attr(trace.AttrOutcome); got != trace.Expired.String() {
		t.Errorf("outcome %q", got)
	}
	if failed := failures(t, root, ""); len(failed) > 0 {
		t.Errorf("%d spans with an error in\n%s", len(failed), root)
	}
	errors, drops := 0, 0
	for _, n := range root.all() {
		for _, e := range n.events(trace.EventICMPError) {
			errors++
			if got, _ := e.Attributes().Get(trace.AttrICMPErrorType); got.Int() != typ {
				t.Errorf("ICMP type %v, want %d", got.AsRaw(), typ)
			}
		}
		drops += len(n.events(trace.EventDrop))
		if len(n.events(trace.EventDrop)) > 0 && n.service != service {
			t.Errorf("dropped in %s, want %s", n.service, service)
		}
	}
	if errors != 1 || drops != 1 {
		t.Errorf("%d ICMP errors and %d drops in\n%s", errors, drops, root)
	}
	if slices.ContainsFunc(root.all(), func(n *node) bool { return n.attr(trace.AttrErrorType) != "" }) {
		t.Errorf("an error.type in\n%s", root)
	}
}
