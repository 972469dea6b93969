// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// How addresses are translated. No two connections may want the same tuple after translation, because
// the kernel would then choose a port at random. So each connection of a case has a port of its own,
// firstPort and so on, and those of the second guest, whose ports are changed, get another of its own.
const (
	firstPort = 5000
	otherPort = 6000
	maxFlows  = 32

	// What guests send to moved is sent to its neighbour instead.
	moved4, moved6     = "203.0.113.10", "2001:db8:b::a"
	movedTo4, movedTo6 = "203.0.113.11", "2001:db8:b::b"
	// The third guest is public to all, and the second guest's packets come from shared.
	public4, public6 = "198.51.100.12", "2001:db8:d::12"
	shared4, shared6 = "198.51.100.11", "2001:db8:d::11"
	// service is where red finds a port of blue's guest.
	service4, service6 = "192.0.2.9", "2001:db8:c::9"
)

// words is what is written in rules of one family.
type words struct {
	restore                                     string
	guest0, guest1, guest2, blue                string
	moved, movedTo, public, shared, uplink, hub string
	prefix                                      string
}

func natWords(v6 bool) words {
	if v6 {
		return words{
			"ip6tables-nft-restore", "2001:db8:a::10", "2001:db8:a::11", "2001:db8:a::12", "[2001:db8:a:1::10]",
			moved6, "[" + movedTo6 + "]", public6, shared6, uplink6, service6, "2001:db8:a::/48",
		}
	}
	return words{
		"iptables-nft-restore", "192.168.0.10", "192.168.0.11", "192.168.0.12", "192.168.1.10",
		moved4, movedTo4, public4, shared4, uplink4, service4, "192.168.0.0/16",
	}
}

// rules returns what iptables-restore is to read.
func (s *Spec) rules(v6 bool) string {
	w, out := natWords(v6), Uplink
	if s.Overlay == Routed {
		out = tunnel
	}
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if s.Track {
		add("*filter\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\n-A FORWARD -m conntrack --ctstate NEW,ESTABLISHED,RELATED -j ACCEPT\nCOMMIT")
	}
	if !s.NAT {
		return b.String()
	}
	bracketed := func(a string) string {
		if v6 {
			return "[" + a + "]"
		}
		return a
	}
	add("*nat\n-A POSTROUTING -p %d -j ACCEPT", frame.Other) // probes: two of them would be one connection
	add("-A PREROUTING -i %s -d %s -p udp --dport 53 -j DNAT --to-destination %s:5353", RedBridge, w.moved, w.movedTo)
	add("-A PREROUTING -i %s -d %s -p tcp --dport 80 -j DNAT --to-destination %s:8080", RedBridge, w.moved, w.movedTo)
	for _, proto := range []string{"tcp", "udp"} {
		add("-A PREROUTING -i %s -d %s -p %s --dport 2200 -j DNAT --to-destination %s:22", out, w.uplink, proto, bracketed(w.guest0))
		add("-A PREROUTING -i %s -d %s -p %s --dport 99 -j DNAT --to-destination %s:98", RedBridge, w.hub, proto, w.blue)
		for n := range maxFlows {
			add("-A POSTROUTING -o %s -s %s -p %s --sport %d -j SNAT --to-source %s:%d", out, w.guest1, proto, firstPort+n, bracketed(w.shared), otherPort+n)
		}
	}
	add("-A PREROUTING -i %s -d %s -j DNAT --to-destination %s", out, w.public, w.guest2)
	add("-A POSTROUTING -o %s -s %s -j SNAT --to-source %s", out, w.guest2, w.public)
	add("-A POSTROUTING -o %s -s %s -j SNAT --to-source %s", out, w.guest1, w.shared)
	add("-A POSTROUTING -o %s -s %s -j MASQUERADE", out, w.prefix)
	add("COMMIT")
	return b.String()
}

// install puts all rules in force.
func (n *Network) install() error {
	for _, v6 := range []bool{false, true} {
		text := n.Spec.rules(v6)
		if text == "" {
			continue
		}
		err := n.Hypervisor.Do(func() error {
			cmd := exec.Command(natWords(v6).restore)
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w: %s", natWords(v6).restore, err, out)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !n.Spec.NAT {
		return nil
	}
	return n.translateEchoes()
}

// translateEchoes changes the identifiers of the second guest's echoes, which iptables cannot.
func (n *Network) translateEchoes() error {
	c, err := nftables.New(nftables.WithNetNSFd(n.Hypervisor.FD()))
	if err != nil {
		return err
	}
	for _, v6 := range []bool{false, true} {
		family, w := nftables.TableFamilyIPv4, natWords(v6)
		if v6 {
			family = nftables.TableFamilyIPv6
		}
		table := c.AddTable(&nftables.Table{Name: "echoes", Family: family})
		before := *nftables.ChainPriorityNATSource - 1
		chain := c.AddChain(&nftables.Chain{
			Name: "echoes", Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: &before,
		})
		for i := range uint16(maxFlows) {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: translateEcho(v6, w, firstPort+i, otherPort+i)})
		}
	}
	return errors.Join(c.Flush(), c.CloseLasting())
}

// translateEcho is, of an echo of the second guest's with an identifier: snat to shared, with another.
func translateEcho(v6 bool, w words, from, to uint16) []expr.Any {
	source, size, proto, typ, family := uint32(12), uint32(4), byte(frame.ICMP), byte(8), uint32(unix.NFPROTO_IPV4)
	if v6 {
		source, size, proto, typ, family = 8, 16, frame.ICMPv6, 128, unix.NFPROTO_IPV6
	}
	number := func(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
	is := func(base expr.PayloadBase, offset, size uint32, data []byte) []expr.Any {
		return []expr.Any{
			&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: size},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data},
		}
	}
	rule := is(expr.PayloadBaseNetworkHeader, source, size, netip.MustParseAddr(w.guest1).AsSlice())
	rule = append(rule, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}})
	rule = append(rule, is(expr.PayloadBaseTransportHeader, 0, 1, []byte{typ})...)
	rule = append(rule, is(expr.PayloadBaseTransportHeader, 4, 2, number(from))...)
	return append(rule,
		&expr.Immediate{Register: 1, Data: netip.MustParseAddr(w.shared).AsSlice()},
		&expr.Immediate{Register: 2, Data: number(to)},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2, RegProtoMax: 2, Specified: true},
	)
}
