// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// dumpNS tells the links, addresses, routes, routing rules and nftables rules of a namespace,
// without counters.
func dumpNS(t *testing.T, ns *netns.NS) []string {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	dump := []string{fmt.Sprint("inode ", ns.Inode())}
	links, err := nl.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		a := l.Attrs()
		dump = append(dump, fmt.Sprintf("link %d %s %s %s mtu %d master %d flags %s state %s",
			a.Index, a.Name, l.Type(), a.HardwareAddr, a.MTU, a.MasterIndex, a.Flags, a.OperState))
		addrs, err := nl.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			dump = append(dump, fmt.Sprintf("addr %s %s flags %#x", a.Name, addr.IPNet, addr.Flags))
		}
	}
	// Of every table, because a tenant has one of its own.
	routes, err := nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		dump = append(dump, fmt.Sprint("route ", r))
	}
	rules, err := nl.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		dump = append(dump, fmt.Sprintf("rule %s mark %d", r, r.Mark))
	}
	return append(dump, dumpRules(t, ns)...)
}

func dumpRules(t *testing.T, ns *netns.NS) []string {
	t.Helper()
	nft, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	chains, err := nft.ListChains()
	if err != nil {
		t.Fatal(err)
	}
	var dump []string
	for _, c := range chains {
		rules, err := nft.GetRules(c.Table, c)
		if err != nil {
			t.Fatal(err)
		}
		dump = append(dump, fmt.Sprintf("chain %s %s: %d rules", c.Table.Name, c.Name, len(rules)))
	}
	slices.Sort(dump)
	return dump
}

func dumpLab(t *testing.T, l *lab.Lab) map[string][]string {
	t.Helper()
	dump := map[string][]string{}
	for _, role := range l.Topology().Roles() {
		withSpace(t, l, role, func(ns *netns.NS) { dump[role] = dumpNS(t, ns) })
	}
	return dump
}

func dumpHost(t *testing.T) []string {
	t.Helper()
	ns, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	return dumpNS(t, ns)
}

func withSpace(t *testing.T, l *lab.Lab, role string, f func(*netns.NS)) {
	t.Helper()
	ns, err := l.Open(role)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	f(ns)
}

func changeLink(l *lab.Lab, role, name string, change func(*netlink.Handle, netlink.Link) error) error {
	ns, err := l.Open(role)
	if err != nil {
		return err
	}
	defer ns.Close()
	nl, err := ns.Netlink()
	if err != nil {
		return err
	}
	defer nl.Close()
	link, err := nl.LinkByName(name)
	if err != nil {
		return err
	}
	return change(nl, link)
}

func delLink(l *lab.Lab, role, name string) error {
	return changeLink(l, role, name, (*netlink.Handle).LinkDel)
}

func setDown(l *lab.Lab, role, name string) error {
	return changeLink(l, role, name, (*netlink.Handle).LinkSetDown)
}
