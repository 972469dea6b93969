// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/dwelltrace/dwell/correlate/event"
)

// chain adds a rule without a match to a new chain in the namespace.
func (n *namespace) chain(kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority, rule ...expr.Any) {
	n.t.Helper()
	nft, err := nftables.New(nftables.WithNetNSFd(int(n.ns)))
	n.must("nftables", err)
	table := nft.AddTable(&nftables.Table{Name: "dwell", Family: nftables.TableFamilyIPv4})
	c := nft.AddChain(&nftables.Chain{Name: "c", Table: table, Type: kind, Hooknum: hook, Priority: prio})
	nft.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: rule})
	n.must("nftables", nft.Flush())
}

func TestDropReasonOfEvent(t *testing.T) {
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	for _, tt := range []struct {
		name, reason string
		breakIt      func(a, b *namespace)
		to           string
	}{
		{"netfilter", "NETFILTER_DROP", func(_, b *namespace) {
			b.chain(nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, drop)
		}, "192.0.2.2"},
		{"no route", "IP_INNOROUTES", func(a, b *namespace) {
			b.sysctl("net/ipv4/ip_forward", "1")
			a.route("203.0.113.0/24", "192.0.2.2")
		}, "203.0.113.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := twoHosts(t)
			tt.breakIt(a, b)
			r := record(t, Options{}, a, b)
			a.pinger(false).send(tt.to, 1, []byte("dropped"))
			events := r.until(seen(event.KfreeSKB, 1))
			last := events[slices.IndexFunc(events, func(e event.Event) bool { return e.Hook == event.KfreeSKB })]
			if got := r.line(&last); got != "b b0 kfree_skb request" {
				t.Errorf("last event %q", got)
			}
			if got := r.reasons.Name(last.Code); got != tt.reason {
				t.Errorf("reason %s (%d), want %s", got, last.Code, tt.reason)
			}
		})
	}
}
