// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// offload has the kernel's own fast path, a flowtable, forward what it can between these devices:
//
//	table ip offload {
//	    flowtable fast { hook ingress priority filter; devices = { … } }
//	    chain forward { type filter hook forward priority filter; ip protocol { tcp, udp } flow add @fast }
//	}
//
// It returns what removes it.
func offload(ns *netns.NS, devices ...string) (remove func() error, err error) {
	conn, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		return nil, err
	}
	table := conn.AddTable(&nftables.Table{Name: "offload", Family: nftables.TableFamilyIPv4})
	conn.AddFlowtable(&nftables.Flowtable{
		Table: table, Name: "fast", Hooknum: nftables.FlowtableHookIngress, Priority: nftables.FlowtablePriorityFilter, Devices: devices,
	})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
			&expr.FlowOffload{Name: "fast"},
		}})
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("a flowtable between %v (has the kernel nft_flow_offload?): %w", devices, err)
	}
	return func() error {
		conn.DelTable(table)
		if err := conn.Flush(); err != nil {
			return fmt.Errorf("removing the flowtable: %w", err)
		}
		return nil
	}, nil
}
