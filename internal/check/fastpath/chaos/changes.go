// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

// disorder changes the world.
type disorder struct {
	*world
	judge *judge
	rand  *rand.Rand
	lease time.Duration
	// prompt is how long after a change that the kernel tells of what it forbids may still be seen.
	prompt time.Duration
	// unattended is until when nobody may have noticed that the agent is gone; zero if it is there.
	unattended time.Time
	count      map[string]int

	lifts  map[string]func() // of bans that the next change of the kind lifts
	route  string            // the router
	routes []span            // while it was replaced
	mac    map[string]string // of routers
	public string
	link   string // of guest0
}

func newDisorder(w *world, j *judge, seed uint64, lease, prompt time.Duration) *disorder {
	return &disorder{
		world: w, judge: j, rand: rand.New(rand.NewPCG(seed, 1)), lease: lease, prompt: prompt, count: map[string]int{}, lifts: map[string]func(){},
		route: w.routerA, mac: map[string]string{w.routerA: macA, w.routerB: macB}, public: w.publicA, link: "g0",
	}
}

// grace is how long what a change forbids may still be seen.
func (d *disorder) grace(notified bool) time.Duration {
	grace := d.prompt
	if !notified {
		grace = d.lease + d.prompt
	}
	if left := time.Until(d.unattended); left > 0 {
		grace = max(grace, left+d.prompt)
	}
	return grace
}

// forbid makes something forbidden from now on, in place of what the kind forbade before.
func (d *disorder) forbid(kind, what string, notified bool, matches func(*seen) bool) {
	d.allow(kind)
	d.lifts[kind] = d.judge.forbid(what, d.grace(notified), matches)
}

func (d *disorder) allow(kind string) {
	if lift := d.lifts[kind]; lift != nil {
		lift()
		d.lifts[kind] = nil
	}
}

type change struct {
	name string
	do   func() error
}

// changes are all kinds.
func (d *disorder) changes() []change {
	return []change{
		{"route", d.changeRoute},
		{"neighbour", d.changeNeighbour},
		{"legacy rule", func() error { return d.changeRule(d.iptables+"-legacy", false) }},
		{"nft rule", func() error { return d.changeRule(d.iptables+"-nft", true) }},
		{"NAT", d.changeNAT},
		{"NIC's MTU", func() error { return d.changeMTU("ens3", 1400) }},
		{"bridge's MTU", func() error { return d.changeMTU("br-red", 1300) }},
		{"address", d.changeAddress},
		{"flush", d.flush},
		{"port down", d.portDown},
		{"move", d.move},
	}
}

// step makes one change.
func (d *disorder) step() error {
	all := d.changes()
	c := all[d.rand.IntN(len(all))]
	d.count[c.name]++
	if err := c.do(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func (d *disorder) toServers(s *seen) bool {
	return s.device == "o0" && d.servers.Contains(s.p.To)
}

// forbidRouters forbids Ethernet addresses that routed packets do not have now.
func (d *disorder) forbidRouters() {
	right := d.mac[d.route]
	d.forbid("router", "packets to another router than "+right, true, func(s *seen) bool {
		return d.toServers(s) && s.p.Dst.String() != right
	})
}

func (d *disorder) changeRoute() error {
	next := d.routerA
	if d.route == d.routerA {
		next = d.routerB
	}
	d.allow("router")
	from := monotonic()
	if err := d.run(hypervisor, "ip route replace {servers} via "+next); err != nil {
		return err
	}
	d.routes = append(d.routes, span{from, monotonic()})
	d.route = next
	d.forbidRouters()
	return nil
}

func (d *disorder) changeNeighbour() error {
	next := macA
	if d.mac[d.route] == macA {
		next = macB
	}
	d.allow("router")
	if err := d.run(hypervisor, "ip neigh replace "+d.route+" lladdr "+next+" dev ens3 nud permanent"); err != nil {
		return err
	}
	d.mac[d.route] = next
	d.forbidRouters()
	return nil
}

// changeRule forbids or allows what goes to a port.
func (d *disorder) changeRule(program string, notified bool) error {
	rule := "FORWARD -p udp -m udp --dport 9000 -j DROP"
	if d.lifts[program] != nil {
		d.allow(program)
		return d.run(hypervisor, program+" -w -D "+rule)
	}
	if err := d.run(hypervisor, program+" -w -I "+rule); err != nil {
		return err
	}
	d.forbid(program, "packets that a rule of "+program+" drops", notified, func(s *seen) bool {
		return s.device == "o0" && s.p.Proto == frame.UDP && s.p.Dport == 9000
	})
	return nil
}

func (d *disorder) changeNAT() error {
	next := d.publicA
	if d.public == d.publicA {
		next = d.publicB
	}
	d.allow("NAT")
	for _, command := range []string{
		"{iptables}-nft -w -t nat -I POSTROUTING -o ens3 -s {guest1} -p udp -j SNAT --to-source " + next,
		"{iptables}-nft -w -t nat -D POSTROUTING -o ens3 -s {guest1} -p udp -j SNAT --to-source " + d.public,
	} {
		if err := d.run(hypervisor, command); err != nil {
			return err
		}
	}
	if err := d.forget(netlink.ConntrackOrigSrcIP, d.guest1); err != nil {
		return err
	}
	d.public = next
	old := map[string]string{d.publicA: d.publicB, d.publicB: d.publicA}[next]
	d.forbid("NAT", "packets with a source that was given up", true, func(s *seen) bool {
		return s.device == "o0" && s.p.From.String() == old && s.p.Proto == frame.UDP
	})
	return nil
}

// forget deletes the datagrams' connections of an address from connection tracking.
func (d *disorder) forget(kind netlink.ConntrackFilterType, addr string) error {
	h, err := d.spaces[hypervisor].Netlink(unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer h.Close()
	f := &netlink.ConntrackFilter{}
	if err := f.AddIP(kind, net.ParseIP(addr)); err != nil {
		return err
	}
	if err := f.AddProtocol(unix.IPPROTO_UDP); err != nil {
		return err
	}
	_, err = h.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(d.family), f)
	return err
}

func (d *disorder) flush() error {
	h, err := d.spaces[hypervisor].Netlink(unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.ConntrackTableFlush(netlink.ConntrackTable)
}

// changeMTU makes a device's smaller, or as large as before.
func (d *disorder) changeMTU(device string, small int) error {
	if d.lifts[device] != nil {
		d.allow(device)
		return d.run(hypervisor, "ip link set "+device+" mtu 1500")
	}
	if err := d.run(hypervisor, fmt.Sprintf("ip link set %s mtu %d", device, small)); err != nil {
		return err
	}
	d.forbid(device, "packets too long for "+device, true, func(s *seen) bool {
		if device == "ens3" {
			return s.device == "o0" && s.length > small
		}
		return (s.device == "g0" || s.device == "g0b" || s.device == "g1") && s.p.Src.String() == redMAC && s.length > small
	})
	return nil
}

func (d *disorder) changeAddress() error {
	if err := d.run(hypervisor, "ip addr add {spare}/{net} dev ens3{nodad}"); err != nil {
		return err
	}
	return d.run(hypervisor, "ip addr del {spare}/{net} dev ens3")
}

// portDown takes guest1's port down for a moment.
func (d *disorder) portDown() error {
	const moment = 100 * time.Millisecond
	if err := d.run(hypervisor, "ip link set red-1 down"); err != nil {
		return err
	}
	d.forbid("port down", "packets by a port that is down", true, func(s *seen) bool { return s.device == "g1" })
	<-time.After(moment)
	d.allow("port down")
	return d.run(hypervisor, "ip link set red-1 up")
}

// move lets guest0 be behind another port. It says so, as virtual machines do.
func (d *disorder) move() error {
	old, next := d.link, "g0b"
	if old == next {
		next = "g0"
	}
	d.allow("move")
	for _, command := range []string{
		"ip route replace {reds} dev " + next + " src {guest0}",
		"ip route replace default via {red} dev " + next + " onlink src {guest0}",
	} {
		if err := d.run(space0, command); err != nil {
			return err
		}
	}
	d.link = next
	hello := frame.Ethernet(frame.MAC("ff:ff:ff:ff:ff:ff"), frame.MAC(mac0), 0, (&frame.IP{
		Src: netip.MustParseAddr(d.guest0), Dst: netip.MustParseAddr(d.everybody), Proto: frame.Other, TTL: sentTTL,
	}).Bytes())
	if err := d.ends[next].Send(wire.Frame{Bytes: hello}); err != nil {
		return err
	}
	d.forbid("move", "packets by the port that the guest has left", true, func(s *seen) bool {
		return s.device == old && s.p.Dst.String() == mac0
	})
	return nil
}
