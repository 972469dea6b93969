// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/dwelltrace/dwell/correlate/event"
)

// TestNetfilterFragments: connection tracking puts the request together in prerouting,
// and the way out takes it apart again.
func TestNetfilterFragments(t *testing.T) {
	a, router, _ := routed(t)
	router.chain(nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, &expr.Masq{})
	r := record(t, Options{}, router)
	r.netfilter(router)
	const whole, first = 4000, 1500 - 20 - 8
	a.pinger(false).ping("198.51.100.1", 1, bytes.Repeat([]byte("f"), whole))
	var got []string
	for _, e := range r.until(seen(event.NetDevXmit, 2)) {
		if e.Type == event.EchoRequest && e.Hook.Info().Class == event.NetfilterProgram {
			got = append(got, fmt.Sprintf("%s %s %d", e.Hook, event.NetfilterHook(e.Code), e.PayloadLen))
		}
	}
	want := []string{
		fmt.Sprintf("netfilter_first prerouting %d", first),
		fmt.Sprintf("netfilter_last prerouting %d", whole),
		fmt.Sprintf("netfilter_first forward %d", whole),
		fmt.Sprintf("netfilter_last forward %d", whole),
		fmt.Sprintf("netfilter_first postrouting %d", whole),
		fmt.Sprintf("netfilter_last postrouting %d", whole),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
