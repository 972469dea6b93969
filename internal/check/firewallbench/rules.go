// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

// nowhere are addresses of which the outside throws away what comes.
const nowhere = "203.0.113.0/24"

// workload is rules and packets that they let pass.
type workload struct {
	rules int
	text  string
	set   *ruleset.Set
	// pings are echo requests, packets are of any protocol. The first of each is of the one flow, all
	// others are different.
	pings, packets []header.Packet
	// seen are the packets that were added.
	seen map[header.Packet]bool
}

// seeds is how many rule sets are tried until one lets the one flow pass.
const seeds = 50

// newWorkload makes rules of a flavour, and so many different packets. Rules whose policy is to drop
// have others after them that let the lab's own pass.
func newWorkload(flavour synth.Flavour, rules, different int) (*workload, error) {
	one := []header.Packet{plain(header.ICMP, 0), plain(header.UDP, rrPort), plain(header.TCP, rrPort)}
	one[1].SetAddress(header.Dst0, netip.MustParsePrefix(nowhere).Addr().Next())
	for seed := range uint64(seeds) {
		r := &synth.Rules{}
		if rules > 0 {
			r = synth.Make(flavour, rules, seed)
		}
		if r.Policy == ruleset.Drop {
			for _, to := range []string{outsideAddr + "/32", answered, nowhere} {
				r.List = append(r.List, synth.Rule{Chain: synth.Base, Destination: netip.MustParsePrefix(to), Action: ruleset.Accept})
			}
		}
		w := &workload{rules: rules, set: r.Set(), text: r.Restore(), pings: one[:1:1], packets: one[1:2:2], seen: map[header.Packet]bool{}}
		if w.passes(&one[0]) && w.passes(&one[2]) && w.lets(&one[1]) {
			return w, w.draw(r, different, seed)
		}
	}
	return nil, fmt.Errorf("no rules of flavour %s, %d of them, let the flow pass that is to be measured", flavour, rules)
}

// draw adds different packets.
func (w *workload) draw(r *synth.Rules, different int, seed uint64) error {
	g := rand.New(rand.NewPCG(seed, 7))
	for range 4 * different {
		if len(w.pings) > different {
			break
		}
		p := plain(header.ICMP, 0)
		p.Words[header.Src0], p.Words[header.Dst0] = within(g, guests), within(g, answered)
		if !w.seen[p] && w.passes(&p) {
			w.seen[p] = true
			w.pings = append(w.pings, p)
		}
	}
	if len(r.List) > 0 {
		w.add(synth.Packets(r, 2*different, seed), different/2)
	}
	w.add(w.random(g, 4*different), different)
	if len(w.pings) <= different || len(w.packets) <= different {
		return fmt.Errorf("rules let too few packets pass: %d pings and %d others of %d", len(w.pings), len(w.packets), different)
	}
	return nil
}

// random returns packets to nowhere.
func (w *workload) random(g *rand.Rand, n int) []header.Packet {
	packets := make([]header.Packet, n)
	for i := range packets {
		p := plain([]uint32{header.TCP, header.UDP}[g.IntN(2)], rrPort)
		p.Words[header.Src0], p.Words[header.Dst0] = within(g, guests), within(g, nowhere)
		p.Words[header.Sport], p.Words[header.Dport] = g.Uint32N(1<<16), g.Uint32N(1<<16)
		packets[i] = p
	}
	return packets
}

func within(g *rand.Rand, prefix string) uint32 {
	p := netip.MustParsePrefix(prefix)
	return header.AddressWords(p.Addr())[0] | g.Uint32N(1<<(32-p.Bits()))
}

// add adds those packets that pass and come to the outside, up to a number in all.
func (w *workload) add(packets []header.Packet, most int) {
	for i := range packets {
		if len(w.packets) > most {
			return
		}
		words := packets[i].Words
		p := plain(words[header.Proto], 0)
		for _, word := range []header.Word{header.Src0, header.Dst0, header.Sport, header.Dport} {
			p.Words[word] = words[word]
		}
		if header.HasPorts(p.Words[header.Proto]) && !w.seen[p] && leaves(&p) && w.lets(&p) {
			w.seen[p] = true
			w.packets = append(w.packets, p)
		}
	}
}

// leaves reports whether the hypervisor sends the packet to the outside, which throws it away.
func leaves(p *header.Packet) bool {
	src, dst := p.Address(header.Src0), p.Address(header.Dst0)
	for _, a := range []netip.Addr{src, dst} {
		if a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.As4()[0] == 0 || a.As4()[0] >= 224 ||
			netip.MustParsePrefix(uplinkAddr+"/24").Masked().Contains(a) || a == netip.MustParseAddr(bridgeAddr) {
			return false
		}
	}
	for _, prefix := range []string{guests, answered, guestAddr + "/24"} {
		if netip.MustParsePrefix(prefix).Masked().Contains(dst) {
			return false
		}
	}
	return true
}

// lets reports whether the rules let a packet of a new connection pass.
func (w *workload) lets(p *header.Packet) bool { return w.set.Judge(p).Verdict == ruleset.Pass }

// passes reports whether they let what is answered pass, too, and what follows.
func (w *workload) passes(p *header.Packet) bool {
	answer, next := *p, *p
	for i := range header.Word(4) {
		answer.Words[header.Src0+i], answer.Words[header.Dst0+i] = p.Words[header.Dst0+i], p.Words[header.Src0+i]
	}
	answer.Words[header.Sport], answer.Words[header.Dport] = p.Words[header.Dport], p.Words[header.Sport]
	if p.Words[header.Proto] == header.ICMP {
		answer.Words[header.Sport], answer.Words[header.Dport] = 0, 0 // an echo reply
	}
	answer.Words[header.Origin] = header.To
	answer.Words[header.State] = header.StateOf(header.Established, header.StateReply)
	next.Words[header.State] = header.StateOf(header.Established, 0)
	return w.lets(p) && w.lets(&answer) && w.lets(&next)
}

// edited returns the rules with one more at the end, which changes nothing for any packet.
func (w *workload) edited() string {
	const commit = "COMMIT\n"
	return strings.TrimSuffix(w.text, commit) + "-A FORWARD -s 192.0.2.77/32 -p tcp -m tcp --dport 1 -j ACCEPT\n" + commit
}
