// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/dwelltrace/dwell/internal/netns"
)

// rulesAtOnce bounds a netlink batch: the kernel's answers to it, two for each rule, have
// to fit into the socket's receive buffer (net.core.rmem_default, 208 KiB; 200 rules are
// too many).
const rulesAtOnce = 50

// setNFTables makes a table of our own whose forward chain has n rules such as
//
//	ip saddr 198.18.0.7 drop
func setNFTables(ns *netns.NS, n int, ipv6 bool) error {
	conn, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		return err
	}
	family := nftables.TableFamilyIPv4
	if ipv6 {
		family = nftables.TableFamilyIPv6
	}
	table := conn.AddTable(&nftables.Table{Name: "dwell-bench", Family: family})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	conn.FlushChain(chain)
	for i := range n {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: dropSource(i, ipv6)})
		if i%rulesAtOnce == rulesAtOnce-1 {
			if err := conn.Flush(); err != nil {
				return fmt.Errorf("adding %d nftables rules: %w", n, err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("adding %d nftables rules (has the kernel nf_tables?): %w", n, err)
	}
	return nil
}

// dropSource is the rule. The source address is at offset 12 of the IPv4 header (RFC
// 791) and 8 of the IPv6 header (RFC 8200).
func dropSource(i int, ipv6 bool) []expr.Any {
	offset := uint32(12)
	if ipv6 {
		offset = 8
	}
	source := unusedSource(i, ipv6).AsSlice()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(source))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: source},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}
