// SPDX-License-Identifier: Apache-2.0

package synth

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Flavour is a shape of rule sets.
type Flavour string

// The flavours.
const (
	// ACL is a list of which services of which hosts who may use: most rules name both ends and
	// a port.
	ACL Flavour = "acl"
	// FW is a corporate firewall in one chain: many rules leave the source, the destination or
	// the port open.
	FW Flavour = "fw"
	// IPC is between the two.
	IPC Flavour = "ipc"
	// Never has rules of which none matches [Packets]' plain packet: iptables' worst case.
	Never Flavour = "never"
	// Sources has one rule for each source.
	Sources Flavour = "sources"
	// Zones is what an administrator or a tool writes: first the states, then a chain for each zone
	// with jumps, lists of ports and returns.
	Zones Flavour = "zones"
)

// Flavours returns all.
func Flavours() []Flavour { return []Flavour{ACL, FW, IPC, Never, Sources, Zones} }

// Make returns n rules of a flavour, for IPv4.
func Make(f Flavour, n int, seed uint64) *Rules {
	g := &maker{Rand: rand.New(rand.NewPCG(seed, uint64(n)))}
	r := &Rules{Family: header.V4, Policy: ruleset.Pass}
	switch f {
	case Never:
		g.never(r, n)
	case Sources:
		g.sources(r, n)
	case Zones:
		g.zones(r, n)
	default:
		g.classBench(r, f, n)
	}
	return r
}

type maker struct{ *rand.Rand }

// percent is true in p of 100 cases.
func (g *maker) percent(p int) bool { return g.IntN(100) < p }

// prefix returns a prefix that has an address.
func prefix(address uint32, bits int) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], address)
	return netip.PrefixFrom(netip.AddrFrom4(b), bits).Masked()
}

// Addresses of the flavours: private ones, and those for benchmarks (RFC 2544).
const (
	ten       = 10 << 24
	benchmark = 198<<24 | 18<<16
)

func (g *maker) never(r *Rules, n int) {
	for i := range n {
		rule := Rule{
			Chain: Base, Source: prefix(benchmark+uint32(i), 32), Proto: header.TCP,
			Dport: header.Values(uint32(1 + g.IntN(1024))), Action: ruleset.Deny,
		}
		r.List = append(r.List, rule)
	}
}

func (g *maker) sources(r *Rules, n int) {
	for i := range n {
		rule := Rule{Chain: Base, Source: prefix(ten+uint32(i)*7, 32), Action: ruleset.Accept}
		if g.percent(50) {
			rule.Action = ruleset.Deny
		}
		r.List = append(r.List, rule)
	}
}

// mixture is in percent.
type mixture struct {
	// anySource and anyDestination are how many rules leave them open; sources and
	// destinations, how many rules there are for each different prefix.
	anySource, anyDestination, sources, destinations int
	// anyPort, exact, low, high: the rest are other ranges.
	anyPort, exact, low, high int
	// sport is how many rules say something of the source port.
	sport int
}

func mixtureOf(f Flavour) mixture {
	switch f {
	case ACL:
		return mixture{anySource: 1, sources: 4, destinations: 8, anyPort: 20, exact: 60, high: 5, low: 1}
	case IPC:
		return mixture{anySource: 2, anyDestination: 2, sources: 4, destinations: 4, anyPort: 40, exact: 45, high: 8, low: 1, sport: 15}
	}
	return mixture{anySource: 12, anyDestination: 8, sources: 10, destinations: 6, anyPort: 30, exact: 45, high: 12, low: 3, sport: 20}
}

func (g *maker) classBench(r *Rules, f Flavour, n int) {
	m := mixtureOf(f)
	sources, destinations := g.pool(n/m.sources+1), g.pool(n/m.destinations+1)
	for range n {
		rule := Rule{Chain: Base, Proto: g.protocol(), Action: ruleset.Accept}
		// Who talks to whom is not by chance: most pairs are close to each other in the pools.
		at := g.IntN(len(destinations))
		// No rule leaves both open: those after it would never be asked.
		open := g.IntN(100)
		if open >= m.anyDestination {
			rule.Destination = destinations[at]
		}
		if open < m.anyDestination || open >= m.anyDestination+m.anySource {
			near := at*len(sources)/len(destinations) + g.IntN(8)
			rule.Source = sources[near%len(sources)]
		}
		if rule.Proto == header.TCP || rule.Proto == header.UDP {
			rule.Dport = g.ports(m)
			if g.percent(m.sport) {
				rule.Sport = g.ports(m)
			}
		}
		if g.percent(40) {
			rule.Action = ruleset.Deny
		}
		r.List = append(r.List, rule)
	}
}

func (g *maker) protocol() uint8 {
	switch p := g.IntN(100); {
	case p < 70:
		return header.TCP
	case p < 87:
		return header.UDP
	case p < 92:
		return header.ICMP
	}
	return 0
}

// pool returns prefixes, most of them hosts and subnets of a few sites, nested in each other.
func (g *maker) pool(n int) []netip.Prefix {
	pool := make([]netip.Prefix, n)
	sites := n/64 + 4
	for i := range pool {
		site := uint32(ten) | uint32(g.IntN(sites))<<14&0xffffff
		address := site | g.Uint32N(1<<14)
		bits := 32
		switch p := g.IntN(100); {
		case p < 55:
		case p < 75:
			bits = 24
		case p < 90:
			bits = 25 + g.IntN(7)
		case p < 98:
			bits = 18 + g.IntN(6)
		default:
			bits = 16
		}
		pool[i] = prefix(address, bits)
	}
	return pool
}

// ports returns one of ClassBench's five classes.
func (g *maker) ports(m mixture) header.Set {
	known := []uint32{20, 21, 22, 23, 25, 53, 67, 80, 110, 123, 135, 139, 143, 161, 389, 443, 445, 514, 993, 1433, 1521, 3306, 3389, 5060, 5432, 8080, 8443}
	switch p := g.IntN(100); {
	case p < m.anyPort:
		return nil
	case p < m.anyPort+m.exact:
		return header.Values(known[g.IntN(len(known))])
	case p < m.anyPort+m.exact+m.low:
		return header.Range(0, 1023)
	case p < m.anyPort+m.exact+m.low+m.high:
		return header.Range(1024, 65535)
	}
	// The same services have the same ranges in all rules.
	lo := uint32(1024 + 512*g.IntN(24))
	return header.Range(lo, lo+uint32(16<<g.IntN(4)))
}
