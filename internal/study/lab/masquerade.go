// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ensureNAT makes an nftables table of our own in which IPv4 packets that leave
// on the devices are masqueraded, and nothing else.
//
//	table ip dwell {
//	    chain postrouting {
//	        type nat hook postrouting priority srcnat;
//	        oifname "ens3" masquerade
//	    }
//	}
func (s *space) ensureNAT(devices []string) error {
	conn, err := nftables.New(nftables.WithNetNSFd(s.FD()))
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: "dwell", Family: nftables.TableFamilyIPv4})
	chain := conn.AddChain(&nftables.Chain{
		Name:     "postrouting",
		Table:    table,
		Type:     nftables.ChainTypeNAT,
		Hooknum:  nftables.ChainHookPostrouting,
		Priority: nftables.ChainPriorityNATSource,
	})
	conn.FlushChain(chain)
	for _, d := range devices {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(toDevice(d), &expr.Masq{})})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("writing nftables rules (has the kernel nf_tables with nft_masq?): %w", err)
	}
	return nil
}
