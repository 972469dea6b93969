// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
)

// tenantTable is the number of the first tenant's routing table; the others' follow.
const tenantTable = 101

// A packet's mark tells in its low byte which tenant it is for, and in the next which it is
// from; 0 is none.
const (
	destMask    = 0x00ff
	originMask  = 0xff00
	originShift = 8
)

// ensureTenants keeps the tenants apart. Two things must know which of the equal addresses
// is meant: routing, which goes by the packet's mark, and connection tracking, which goes by
// its zone.
func (s *space) ensureTenants(tenants []Tenant) error {
	// The hypervisor's own answer to an echo, and an ICMP error, bear the mark of what they
	// answer, or they would not find back.
	err := s.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/fwmark_reflect", []byte("1"), 0) })
	if err != nil {
		return fmt.Errorf("setting ipv4/fwmark_reflect (is /proc/sys writable?): %w", err)
	}
	for i, t := range tenants {
		if err := s.ensureTenantRoute(i+1, t); err != nil {
			return fmt.Errorf("route to %s: %w", t.Role, err)
		}
	}
	return s.ensureTenantNAT(tenants)
}

// ensureTenantRoute makes the routing table of the n-th tenant and the rule that leads to it. What
// the table does not know is looked for in the main one.
func (s *space) ensureTenantRoute(n int, t Tenant) error {
	table, mask := tenantTable+n-1, uint32(destMask)
	link, err := s.nl.LinkByName(t.Bridge)
	if err != nil {
		return err
	}
	err = s.nl.RouteReplace(&netlink.Route{
		Dst: ipNet(t.Network.Addr().AsSlice(), t.Network.Bits()), LinkIndex: link.Attrs().Index,
		Table: table, Scope: netlink.SCOPE_LINK,
	})
	if err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.Table = netlink.FAMILY_V4, table, table
	rule.Mark, rule.Mask = uint32(n), &mask
	if err := s.nl.RuleAdd(rule); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("rule for mark %d (has the kernel policy routing?): %w", n, err)
	}
	return nil
}

// ensureTenantNAT makes an nftables table of our own. For the tenants 1 (red) and 2 (blue):
//
//	table ip dwell {
//	    chain zones {
//	        type filter hook prerouting priority raw;
//	        iifname "br-red" ip daddr 198.51.100.12 ct zone set 4
//	        iifname "br-blue" ip daddr 198.51.100.11 ct zone set 4
//	        iifname "br-red" ct zone set 1
//	        iifname "br-blue" ct zone set 2
//	        ip daddr 198.51.100.11 ct zone set 1
//	        ip daddr 198.51.100.12 ct zone set 2
//	    }
//	    chain marks {
//	        type filter hook prerouting priority mangle;
//	        iifname "br-red" meta mark set meta mark & 0xffff0000 | 0x100
//	        …
//	        ip daddr 198.51.100.11 meta mark set meta mark & 0xffffff00 | 1
//	        …
//	    }
//	    chain answers {
//	        type route hook output priority mangle;
//	        meta mark & 0xff00 == 0x100 meta mark set meta mark & 0xffff0000 | 1
//	        …
//	    }
//	    chain prerouting {
//	        type nat hook prerouting priority dstnat;
//	        ip daddr 198.51.100.11 dnat to 192.168.0.10
//	        …
//	    }
//	    chain postrouting {
//	        type nat hook postrouting priority srcnat;
//	        meta mark & 0xff00 == 0x100 snat to 198.51.100.11
//	        …
//	    }
//	}
//
// Both directions of a connection must be in one zone, so two tenants have one for what
// is between them. Of the rules that set a zone the first that matches decides. (A zone for one
// direction only would need none for pairs, but the library cannot express it.)
//
// A packet from red to blue is marked 0x102 and so routed to blue. The ICMP error that it may
// cause in the hypervisor bears that mark, too, but is an answer and goes to red.
func (s *space) ensureTenantNAT(tenants []Tenant) error {
	conn, err := nftables.New(nftables.WithNetNSFd(s.FD()))
	if err != nil {
		return err
	}
	n := tenantNAT{conn: conn, table: conn.AddTable(&nftables.Table{Name: "dwell", Family: nftables.TableFamilyIPv4})}
	n.zones(tenants)
	n.marks(tenants)
	n.translate(tenants)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("writing nftables rules (has the kernel nf_tables with nft_ct, nft_nat and CONFIG_NF_CONNTRACK_ZONES?): %w", err)
	}
	return nil
}

// tenantNAT writes the rules of [space.ensureTenantNAT].
type tenantNAT struct {
	conn  *nftables.Conn
	table *nftables.Table
}

// chain makes an empty chain and returns what adds rules to it.
func (n *tenantNAT) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) func(...[]expr.Any) {
	c := n.conn.AddChain(&nftables.Chain{Name: name, Table: n.table, Type: kind, Hooknum: hook, Priority: priority})
	n.conn.FlushChain(c)
	return func(parts ...[]expr.Any) {
		rule := &nftables.Rule{Table: n.table, Chain: c}
		for _, p := range parts {
			rule.Exprs = append(rule.Exprs, p...)
		}
		n.conn.AddRule(rule)
	}
}

func (n *tenantNAT) zones(tenants []Tenant) {
	add := n.chain("zones", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	for i, from := range tenants {
		for j, to := range tenants {
			if i != j {
				add(fromDevice(from.Bridge), toAddr(to.Public), setZone(pairZone(len(tenants), i, j)))
			}
		}
	}
	for i, t := range tenants {
		add(fromDevice(t.Bridge), setZone(i+1))
	}
	for i, t := range tenants {
		add(toAddr(t.Public), setZone(i+1))
	}
}

// pairZone is the conntrack zone of what is between the i-th and the j-th of n tenants, counted
// from 0. Nothing else has it: the tenants' own zones are 1 to n.
func pairZone(n, i, j int) int { return 1 + n + n*min(i, j) + max(i, j) }

func (n *tenantNAT) marks(tenants []Tenant) {
	add := n.chain("marks", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityMangle)
	for i, t := range tenants {
		add(fromDevice(t.Bridge), setFrom(i+1))
	}
	for i, t := range tenants {
		add(toAddr(t.Public), setTo(i+1))
	}
	answer := n.chain("answers", nftables.ChainTypeRoute, nftables.ChainHookOutput, nftables.ChainPriorityMangle)
	for i := range tenants {
		answer(fromTenant(i+1), setMark(originMask|destMask, uint32(i+1)))
	}
}

func (n *tenantNAT) translate(tenants []Tenant) {
	to := n.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	from := n.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	for i, t := range tenants {
		to(toAddr(t.Public), translateTo(expr.NATTypeDestNAT, t.Guest))
		from(fromTenant(i+1), translateTo(expr.NATTypeSourceNAT, t.Public))
	}
}
