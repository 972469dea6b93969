// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
)

func TestNumbers(t *testing.T) {
	var n correlate.Resolver = correlate.Numbers{}
	netns := &trace.NetNS{Inode: 4294967295, Name: "netns-4294967295"}
	if diff := cmp.Diff(netns, n.NetNS(4294967295)); diff != "" {
		t.Errorf("namespace (-want +got):\n%s", diff)
	}
	want := &trace.Device{NetNS: netns, Index: 2, Name: "if2"}
	if diff := cmp.Diff(want, n.Device(4294967295, 2)); diff != "" {
		t.Errorf("device (-want +got):\n%s", diff)
	}
	if got := n.DropReason(5); got != "reason5" {
		t.Errorf("drop reason %q, want reason5", got)
	}
}
