// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// trap is a case in which it is easy to differ from iptables. Of each is known what iptables
// does, so that no trap is empty.
type trap struct {
	name     string
	rules    []string
	policy   string
	operator []string
	// before and after change both hypervisors around the case.
	before, after func(*testing.T, *Network)
	steps         []Step
	// out are how many frames come out of each device; of nft, if it differs.
	out [ends]int
	nft *[ends]int
	// dropped is how many are dropped at TC.
	dropped uint64
}

const (
	guest, other   = "192.168.0.10", "192.168.0.11"
	peer           = "203.0.113.8"
	dark, narrow   = "198.51.100.70", "198.51.100.200"
	outside, inner = "02:00:00:00:00:20", "02:00:00:00:00:10"
)

// l4 makes what is above IP.
type l4 func(src, dst netip.Addr) (uint8, []byte)

func echo(typ uint8, id uint16, size int) l4 {
	return func(src, dst netip.Addr) (uint8, []byte) {
		return 1, sumUp(src, dst, 1, icmp(typ, 0, id, 1, make([]byte, size)), 2)
	}
}

func datagram(sport, dport uint16, size int) l4 {
	return func(src, dst netip.Addr) (uint8, []byte) {
		return 17, sumUp(src, dst, 17, udp(sport, dport, make([]byte, size)), 6)
	}
}

func segment(sport, dport uint16, flags uint8) l4 {
	return func(src, dst netip.Addr) (uint8, []byte) {
		return 6, sumUp(src, dst, 6, tcp(sport, dport, flags, 1000, 1, nil), 16)
	}
}

// packet makes an IPv4 packet, which the changes alter.
func packet(src, dst string, above l4, changes ...func(*ip)) *ip {
	p := &ip{src: netip.MustParseAddr(src), dst: netip.MustParseAddr(dst), ttl: 64, id: 7}
	p.proto, p.payload = above(p.src, p.dst)
	for _, change := range changes {
		change(p)
	}
	return p
}

// from is a frame that a guest sends to the hypervisor to be routed, into is one from outside.
func from(p *ip) Step { return Step{Guest0, frame(bridgeMAC, ports[Guest0].far, 0, p.bytes())} }

func into(p *ip) Step {
	return Step{Outside, frame(ports[Outside].mac, ports[Outside].far, 0, p.bytes())}
}

func traps() []trap {
	ttl := func(n uint8) func(*ip) { return func(p *ip) { p.ttl = n } }
	dontFragment := func(p *ip) { p.fragment = 0x4000 }
	return []trap{
		{
			name: "the rule decides at TC", rules: []string{"-A FORWARD -p udp --dport 53 -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(5000, 53, 8))), from(packet(guest, peer, datagram(5000, 54, 8)))},
			out:   [ends]int{Outside: 1}, dropped: 1,
		},
		{
			name:  "nft takes two ports that are refused for one number",
			rules: []string{"-A FORWARD -p udp -m udp ! --sport 1024 ! --dport 23 -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(443, 23, 8))), into(packet(peer, guest, datagram(443, 23, 8)))},
			out:   [ends]int{Guest0: 1, Outside: 1}, nft: &[ends]int{},
		},
		{
			name:  "nft takes no port for any port",
			rules: []string{"-A FORWARD -p udp -m udp ! --sport :65535 -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(443, 23, 8)))},
			out:   [ends]int{Outside: 1}, nft: &[ends]int{},
		},
		{
			name: "later fragments have no port", rules: []string{"-A FORWARD -p udp --dport 53 -j DROP"},
			steps: []Step{
				from(packet(guest, peer, datagram(5000, 54, 8), func(p *ip) { p.fragment, p.payload = 0x2000, append(p.payload, make([]byte, 8)...) })),
				// As if its first bytes were ports 5000 and 53.
				from(packet(guest, peer, datagram(5000, 53, 0), func(p *ip) { p.fragment = 3 })),
				from(packet(guest, peer, datagram(5000, 53, 0), func(p *ip) { p.fragment, p.id = 3, 9 })),
			},
			// nft takes what is where ports would be for ports (nft_payload_fast_eval does not look).
			out: [ends]int{Outside: 3}, nft: &[ends]int{Outside: 1},
		},
		{
			name: "a header cut short is dropped because a rule looks at ports", rules: []string{"-A FORWARD -p udp --dport 53 -j ACCEPT"},
			steps: []Step{from(packet(guest, peer, datagram(5000, 53, 8), func(p *ip) { p.payload = p.payload[:5] }))},
			nft:   &[ends]int{Outside: 1}, // not by nft
		},
		{
			name:  "a header cut short passes where no rule looks at ports",
			rules: []string{"-A FORWARD -d 203.0.113.9 -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(5000, 53, 8), func(p *ip) { p.payload = p.payload[:5] }))},
			out:   [ends]int{Outside: 1},
		},
		{
			name: "options do not hide ports", rules: []string{"-A FORWARD -p udp --dport 53 -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(5000, 53, 8), func(p *ip) { p.options = []byte{1, 1, 1, 0} }))},
		},
		{
			name: "time exceeded is answered before the tenant's rules", rules: []string{"-A FORWARD -p udp -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(5000, 53, 8), ttl(1)))},
			out:   [ends]int{Guest0: 1},
		},
		{
			name: "too long is answered before the tenant's rules", rules: []string{"-A FORWARD -p udp -j DROP"},
			steps: []Step{from(packet(guest, narrow, datagram(5000, 53, 900), dontFragment))},
			out:   [ends]int{Guest0: 1},
		},
		{
			name: "a packet's time to live is one less in FORWARD", rules: []string{"-A FORWARD -m ttl --ttl-eq 63 -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(1, 2, 8), ttl(64))), from(packet(guest, peer, datagram(1, 2, 8), ttl(63)))},
			out:   [ends]int{Outside: 1}, dropped: 1,
		},
		{
			name: "the router's own addresses are not forwarded to", rules: []string{"-A FORWARD -j DROP"},
			steps: []Step{
				from(packet(guest, bridge4, echo(8, 1, 8))), from(packet(guest, uplink4, echo(8, 2, 8))),
				from(packet(guest, bridge4, datagram(1, 9, 8))),
			},
			out: [ends]int{Guest0: 3},
		},
		{
			name: "broadcast and multicast are not forwarded", rules: []string{"-A FORWARD -j DROP"},
			steps: []Step{
				from(packet(guest, "192.168.0.255", echo(8, 1, 8))), from(packet(guest, "224.0.0.5", datagram(1, 9, 8))),
			},
		},
		{
			name: "a frame for another guest is bridged", rules: []string{"-A FORWARD -p udp -j DROP"},
			before: bridgeFilter("0"), after: bridgeFilter("1"),
			steps: []Step{{Guest0, frame(ports[Guest1].far, ports[Guest0].far, 0, packet(guest, other, datagram(1, 2, 8)).bytes())}},
			out:   [ends]int{Guest1: 1},
		},
		{
			name: "a bridged frame is filtered where the kernel is told to", rules: []string{"-A FORWARD -p udp -j DROP"},
			before: bridgeFilter("1"), after: bridgeFilter("1"),
			steps: []Step{{Guest0, frame(ports[Guest1].far, ports[Guest0].far, 0, packet(guest, other, datagram(1, 2, 8)).bytes())}},
		},
		{
			name: "a frame with a VLAN is another network's", rules: []string{"-A FORWARD -p udp -j DROP"},
			steps: []Step{{Guest0, frame(bridgeMAC, ports[Guest0].far, 5, packet(guest, peer, datagram(1, 2, 8)).bytes())}},
		},
		{
			name: "the bridge is where a packet comes in", rules: []string{"-A FORWARD -i tap-red-0 -j DROP", "-A FORWARD -i br-red -p udp -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, echo(8, 1, 8)))},
			out:   [ends]int{Outside: 1}, dropped: 1,
		},
		{
			name: "the destination is translated before the rules", rules: []string{"-A FORWARD -d 203.0.113.99 -j DROP"}, operator: []string{translation},
			steps: []Step{from(packet(guest, moved4, datagram(1, 2, 8))), from(packet(guest, peer, datagram(1, 2, 8)))},
			out:   [ends]int{Outside: 1},
		},
		{
			name: "what is translated to is not dropped for what it was", rules: []string{"-A FORWARD -d " + moved4 + " -j DROP"}, operator: []string{translation},
			steps: []Step{from(packet(guest, moved4, datagram(1, 2, 8)))},
			out:   [ends]int{Outside: 1},
		},
		{
			name: "the source is translated after the rules", rules: []string{"-A FORWARD -s " + publics4[0] + " -j DROP", "-A FORWARD ! -s " + guest + " -d " + peer + " -j DROP"}, operator: []string{translation},
			steps: []Step{from(packet(guest, peer, datagram(1, 2, 8)))},
			out:   [ends]int{Outside: 1},
		},
		{
			name: "an answer that is dropped still makes its connection established",
			rules: []string{
				"-A FORWARD -o br-red -m conntrack --ctstate ESTABLISHED -j DROP", "-A FORWARD -i br-red -p udp -j DROP",
			},
			steps: []Step{
				into(packet(peer, guest, datagram(53, 5000, 8))), from(packet(guest, peer, datagram(5000, 53, 8))),
				into(packet(peer, guest, datagram(53, 5000, 8))),
			},
			out: [ends]int{Guest0: 1},
		},
		{
			name:  "an echo reply that is dropped still makes its connection established",
			rules: []string{"-A FORWARD -i br-red -p icmp -j DROP", "-A FORWARD -o br-red -m conntrack --ctstate ESTABLISHED -j DROP"},
			steps: []Step{
				into(packet(peer, guest, echo(8, 9, 8))), from(packet(guest, peer, echo(0, 9, 8))), into(packet(peer, guest, echo(8, 9, 8))),
			},
			out: [ends]int{Guest0: 1},
		},
		{
			name:    "a new packet to the tenant that is dropped leaves no hole",
			rules:   []string{"-A FORWARD -i br-red -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -j DROP"},
			steps:   []Step{into(packet(peer, guest, segment(40000, 22, syn))), from(packet(guest, peer, segment(22, 40000, syn|ack)))},
			dropped: 1, // nothing comes out, because the second is not of a connection
		},
		{
			name:  "what may be of a connection is not dropped at TC, and what is not is",
			rules: []string{"-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -i br-red -p udp -j DROP"},
			steps: []Step{
				into(packet(peer, guest, datagram(53, 5000, 8))), from(packet(guest, peer, datagram(5000, 53, 8))),
				from(packet(guest, peer, datagram(5001, 53, 8))),
			},
			out: [ends]int{Guest0: 1, Outside: 1}, dropped: 1,
		},
		{
			name:  "what is related to no connection is dropped at TC",
			rules: []string{"-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-A FORWARD -i br-red -p tcp -j DROP"},
			steps: []Step{from(packet(guest, peer, segment(5001, 20, syn)))}, dropped: 1,
		},
		{
			name:  "what may be of a connection of a zone is not dropped at TC",
			rules: []string{"-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -i br-red -p udp -j DROP"},
			steps: []Step{
				into(packet(peer, guest, datagram(53, 5000, 8))), from(packet(guest, peer, datagram(5000, 53, 8))),
				from(packet(guest, peer, datagram(5001, 53, 8))),
			},
			operator: []string{"*raw\n-A PREROUTING -j CT --zone 5\nCOMMIT\n"},
			out:      [ends]int{Guest0: 1, Outside: 1}, dropped: 1,
		},
		{
			name: "what the host counts before the rules is counted", rules: []string{"-A FORWARD -p udp -j DROP"},
			operator: []string{"*raw\n-A PREROUTING -m quota --quota 70 -j ACCEPT\n-A PREROUTING -p icmp -j DROP\nCOMMIT\n"},
			steps:    []Step{from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, echo(8, 1, 8)))},
		},
		{
			name:  "what may be invalid is counted as that",
			rules: []string{"-A FORWARD -m conntrack --ctstate INVALID", "-A FORWARD -i br-red -p tcp -j DROP"},
			steps: []Step{from(packet(guest, peer, segment(5001, 20, syn|fin)))},
		},
		{
			name: "an echo request of a ping that was answered is established",
			rules: []string{
				"-A FORWARD -p icmp -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -i br-red -p icmp -m length --length 100: -j DROP",
			},
			steps: []Step{
				from(packet(guest, peer, echo(8, 3, 8))), into(packet(peer, guest, echo(0, 3, 8))), from(packet(guest, peer, echo(8, 3, 200))),
			},
			out: [ends]int{Guest0: 1, Outside: 2},
		},
		{
			name:     "what a helper may expect is not dropped at TC",
			rules:    []string{"-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-A FORWARD -i br-red -p tcp -j DROP"},
			operator: []string{"*raw\n-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp\nCOMMIT\n"},
			steps:    activeFTP(), out: [ends]int{Guest0: 4, Outside: 2},
		},
		{
			name: "an error about a connection is related to it", policy: "DROP",
			rules: []string{"-A FORWARD -m conntrack --ctstate RELATED -j ACCEPT", "-A FORWARD -i br-red -p udp -j ACCEPT"},
			steps: []Step{from(packet(guest, peer, datagram(5000, 53, 8))), into(unreachable(packet(guest, peer, datagram(5000, 53, 8))))},
			out:   [ends]int{Outside: 1, Guest0: 1},
		},
		{
			name: "no route is answered before the tenant's rules", rules: []string{"-A FORWARD -p udp -j DROP"},
			before: administrative, after: notAdministrative,
			steps: []Step{from(packet(guest, "198.51.100.20", datagram(1, 2, 8)))},
			out:   [ends]int{Guest0: 1},
		},
		{
			name: "a rule of routing by mark is asked", rules: []string{"-A FORWARD -p udp -j DROP"},
			operator: []string{"*mangle\n-A PREROUTING -i br-red -j MARK --set-xmark 0x7/0xff\nCOMMIT\n"},
			before:   byMark, after: notByMark,
			steps: []Step{from(packet(guest, peer, datagram(1, 2, 8)))},
			out:   [ends]int{Guest0: 1},
		},
		{
			name: "what the tenant accepts the operator may still drop", rules: []string{"-A FORWARD -j ACCEPT"},
			operator: []string{"*filter\n-A FORWARD -p udp -j DROP\nCOMMIT\n"},
			steps:    []Step{from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, echo(8, 1, 8)))},
			out:      [ends]int{Outside: 1},
		},
		{
			name: "what the tenant drops the operator does not reject", rules: []string{"-A FORWARD -p udp -j DROP"},
			operator: []string{"*filter\n-A FORWARD -p udp -j REJECT\nCOMMIT\n"},
			steps:    []Step{into(packet(peer, guest, datagram(1, 2, 8)))},
		},
		{
			name: "accepted in a chain of its own is accepted", policy: "DROP",
			rules: []string{":own", "-A FORWARD -j own", "-A FORWARD -j DROP", "-A own -p udp -j ACCEPT", "-A own -p icmp -j RETURN"},
			steps: []Step{from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, echo(8, 1, 8)))},
			out:   [ends]int{Outside: 1}, dropped: 1,
		},
		{
			name: "what a rule counts is counted", rules: []string{"-A FORWARD -p udp -m statistic --mode nth --every 2 --packet 0 -j DROP"},
			steps: []Step{
				from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, datagram(1, 2, 8))),
				from(packet(guest, peer, echo(8, 1, 8))),
			},
			out: [ends]int{Outside: 2},
		},
		{
			name: "a checksum that is wrong is the kernel's to drop, and no rule's to count", rules: []string{"-A FORWARD -p udp -j DROP"},
			steps: []Step{from(packet(guest, peer, datagram(1, 2, 8), func(p *ip) { p.badSum = true }))},
		},
		{
			name: "what changes the packet on the way is asked for", rules: []string{"-A FORWARD -m tos --tos 0x10/0xff -j DROP"},
			operator: []string{"*mangle\n-A PREROUTING -p udp -j TOS --set-tos 0x10/0xff\nCOMMIT\n"},
			steps:    []Step{from(packet(guest, peer, datagram(1, 2, 8))), from(packet(guest, peer, echo(8, 1, 8), func(p *ip) { p.tos = 0x10 }))},
			dropped:  1, // the second
		},
		{
			name: "a log before the rules is still written", rules: []string{"-A FORWARD -p udp -j DROP"},
			operator: []string{"*raw\n-A PREROUTING -p udp -m quota --quota 50 -j ACCEPT\n-A PREROUTING -p udp -j DROP\nCOMMIT\n"},
			steps:    []Step{from(packet(guest, peer, datagram(1, 2, 8))), into(packet(peer, guest, datagram(1, 2, 8))), into(packet(peer, guest, datagram(1, 2, 8)))},
		},
	}
}

// activeFTP is a client that tells the guest's server where to connect to (RFC 959, 4.1.2), and the
// server that does.
func activeFTP() []Step {
	exact := func(sport, dport uint16, flags uint8, seq, ackNo uint32, text string) l4 {
		return func(src, dst netip.Addr) (uint8, []byte) {
			return 6, sumUp(src, dst, 6, tcp(sport, dport, flags, seq, ackNo, []byte(text)), 16)
		}
	}
	return []Step{
		into(packet(peer, guest, exact(40000, 21, syn, 100, 0, ""))),
		from(packet(guest, peer, exact(21, 40000, syn|ack, 500, 101, ""))),
		into(packet(peer, guest, exact(40000, 21, ack, 101, 501, ""))),
		into(packet(peer, guest, exact(40000, 21, ack|psh, 101, 501, "USER x\r\n"))),
		into(packet(peer, guest, exact(40000, 21, ack|psh, 109, 501, "PORT 203,0,113,8,19,137\r\n"))),
		from(packet(guest, peer, exact(20, 19<<8|137, syn, 900, 0, ""))),
	}
}

// unreachable is a router's answer to a packet.
func unreachable(p *ip) *ip {
	e := &ip{src: netip.MustParseAddr(router4), dst: p.src, proto: 1, ttl: 64, id: 8}
	e.payload = sumUp(e.src, e.dst, 1, icmp(3, 3, 0, 0, p.bytes()), 2)
	return e
}

// bridgeFilter sets whether frames between ports of a bridge meet iptables.
func bridgeFilter(value string) func(*testing.T, *Network) {
	return func(t *testing.T, n *Network) {
		t.Helper()
		must(t, n.Hypervisor.Do(func() error { return sysctl("net/bridge/bridge-nf-call-iptables=" + value) }))
	}
}

func administrative(t *testing.T, n *Network)    { must(t, n.nl.RouteAdd(prohibited())) }
func notAdministrative(t *testing.T, n *Network) { must(t, n.nl.RouteDel(prohibited())) }

// prohibited is a route whose answer is not limited as that of no route is.
func prohibited() *netlink.Route {
	_, dst, _ := net.ParseCIDR("198.51.100.16/28")
	return &netlink.Route{Dst: dst, Type: unix.RTN_PROHIBIT}
}

const markedTable = 77

func byMark(t *testing.T, n *Network) {
	t.Helper()
	_, dst, _ := net.ParseCIDR("203.0.113.0/24")
	must(t, n.nl.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_PROHIBIT, Table: markedTable}))
	must(t, n.nl.RuleAdd(markRule()))
}

func notByMark(t *testing.T, n *Network) {
	t.Helper()
	_, dst, _ := net.ParseCIDR("203.0.113.0/24")
	must(t, n.nl.RuleDel(markRule()))
	must(t, n.nl.RouteDel(&netlink.Route{Dst: dst, Type: unix.RTN_PROHIBIT, Table: markedTable}))
}

func markRule() *netlink.Rule {
	r, mask := netlink.NewRule(), uint32(0xff)
	r.Family, r.Priority, r.Table, r.Mark, r.Mask = netlink.FAMILY_V4, 100, markedTable, 7, &mask
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
