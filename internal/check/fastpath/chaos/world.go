// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Addresses of those who speak:
//
//	guest0 192.168.0.10  red-0, red-2 ─┐
//	guest1 192.168.0.11  red-1        ─┴ br-red 192.168.0.1  ┐
//	guest2 192.168.1.10  blue-0       ── br-blue 192.168.1.1 ┴ ens3 192.0.2.1 ── 192.0.2.2, 192.0.2.3 ── 203.0.113.8, .9
const (
	guest0, guest1, guest2 = "192.168.0.10", "192.168.0.11", "192.168.1.10"
	uplink                 = "192.0.2.1"
	server, echoer         = "203.0.113.8", "203.0.113.9"
	// routerA and routerB lead to the servers both.
	routerA, routerB = "192.0.2.2", "192.0.2.3"
	// publicA and publicB are what guest1's datagrams may come from.
	publicA, publicB = "192.0.2.11", "192.0.2.12"
)

// Ethernet addresses.
const (
	uplinkMAC              = "02:00:00:00:01:03"
	redMAC, blueMAC        = "02:00:00:00:02:00", "02:00:00:00:02:01"
	macA, macB             = "02:00:00:00:00:20", "02:00:00:00:00:21"
	mac0, mac1, mac2       = "02:00:00:00:00:10", "02:00:00:00:00:11", "02:00:00:00:00:12"
	hypervisor, outside    = "hypervisor", "outside"
	space0, space1, space2 = "guest0", "guest1", "guest2"
)

// world is a hypervisor with guests, and what is outside.
type world struct {
	prefix string
	spaces map[string]*netns.NS
	// ends are where frames come out, by device.
	ends map[string]wire.End
}

func newWorld(name string) (w *world, err error) {
	w = &world{prefix: fmt.Sprintf("%s-%d-", name, os.Getpid()), spaces: map[string]*netns.NS{}, ends: map[string]wire.End{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making the hypervisor: %w", err), w.close())
		}
	}()
	for _, s := range []string{hypervisor, outside, space0, space1, space2} {
		ns, err := netns.Create(w.prefix + s)
		if err != nil {
			return w, err
		}
		w.spaces[s] = ns
		w.sysctl(s, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
	}
	for _, s := range steps {
		if err := w.run(s.space, s.command); err != nil {
			return w, err
		}
	}
	for device, space := range map[string]string{"o0": outside, "g0": space0, "g0b": space0, "g1": space1, "g2": space2} {
		if w.ends[device], err = wire.Open(w.spaces[space], device); err != nil {
			return w, err
		}
	}
	return w, nil
}

// steps make the network. PREFIX in them is that of names of namespaces.
var steps = []struct{ space, command string }{
	{hypervisor, "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0"},
	{hypervisor, "ip link add br-red address " + redMAC + " type bridge mcast_snooping 0"},
	{hypervisor, "ip link add br-blue address " + blueMAC + " type bridge mcast_snooping 0"},
	{hypervisor, "ip link add red-0 type veth peer name g0 address " + mac0 + " netns PREFIXguest0"},
	{hypervisor, "ip link add red-2 type veth peer name g0b address " + mac0 + " netns PREFIXguest0"},
	{hypervisor, "ip link add red-1 type veth peer name g1 address " + mac1 + " netns PREFIXguest1"},
	{hypervisor, "ip link add blue-0 type veth peer name g2 address " + mac2 + " netns PREFIXguest2"},
	{hypervisor, "ip link add ens3 address " + uplinkMAC + " type veth peer name o0 netns PREFIXoutside"},
	{hypervisor, "ip link set red-0 master br-red up"},
	{hypervisor, "ip link set red-1 master br-red up"},
	{hypervisor, "ip link set red-2 master br-red up"},
	{hypervisor, "ip link set blue-0 master br-blue up"},
	{hypervisor, "ip addr add 192.168.0.1/24 dev br-red"},
	{hypervisor, "ip addr add 192.168.1.1/24 dev br-blue"},
	{hypervisor, "ip addr add 192.0.2.1/24 dev ens3"},
	{hypervisor, "ip link set br-red up"},
	{hypervisor, "ip link set br-blue up"},
	{hypervisor, "ip link set ens3 up"},
	{hypervisor, "ip neigh replace 192.168.0.10 lladdr " + mac0 + " dev br-red nud permanent"},
	{hypervisor, "ip neigh replace 192.168.0.11 lladdr " + mac1 + " dev br-red nud permanent"},
	{hypervisor, "ip neigh replace 192.168.1.10 lladdr " + mac2 + " dev br-blue nud permanent"},
	{hypervisor, "ip neigh replace 192.0.2.2 lladdr " + macA + " dev ens3 nud permanent"},
	{hypervisor, "ip neigh replace 192.0.2.3 lladdr " + macB + " dev ens3 nud permanent"},
	{hypervisor, "ip route add 203.0.113.0/24 via 192.0.2.2"},

	{outside, "ip link set o0 up"},
	{outside, "ip link add a0 link o0 address " + macA + " type macvlan mode bridge"},
	{outside, "ip link add b0 link o0 address " + macB + " type macvlan mode bridge"},
	{outside, "ip addr add 192.0.2.2/24 dev a0"},
	{outside, "ip addr add 192.0.2.3/32 dev b0"},
	{outside, "ip link set lo up"},
	{outside, "ip addr add 203.0.113.8/32 dev lo"},
	{outside, "ip addr add 203.0.113.9/32 dev lo"},
	{outside, "ip link set a0 up"},
	{outside, "ip link set b0 up"},
	{outside, "ip neigh replace 192.0.2.1 lladdr " + uplinkMAC + " dev a0 nud permanent"},
	{outside, "ip neigh replace " + publicA + " lladdr " + uplinkMAC + " dev a0 nud permanent"},
	{outside, "ip neigh replace " + publicB + " lladdr " + uplinkMAC + " dev a0 nud permanent"},

	{space0, "ip link set lo up"},
	{space0, "ip addr add 192.168.0.10/32 dev lo"},
	{space0, "ip link set g0 up"},
	{space0, "ip link set g0b up"},
	{space0, "ip route add 192.168.0.0/24 dev g0 src 192.168.0.10"},
	{space0, "ip route add default via 192.168.0.1 dev g0 src 192.168.0.10"},
	{space0, "ip neigh replace 192.168.0.1 lladdr " + redMAC + " dev g0 nud permanent"},
	{space0, "ip neigh replace 192.168.0.1 lladdr " + redMAC + " dev g0b nud permanent"},
	{space0, "ip neigh replace 192.168.0.11 lladdr " + mac1 + " dev g0 nud permanent"},
	{space0, "ip neigh replace 192.168.0.11 lladdr " + mac1 + " dev g0b nud permanent"},

	{space1, "ip addr add 192.168.0.11/24 dev g1"},
	{space1, "ip link set g1 up"},
	{space1, "ip route add default via 192.168.0.1"},
	{space1, "ip neigh replace 192.168.0.1 lladdr " + redMAC + " dev g1 nud permanent"},
	{space1, "ip neigh replace 192.168.0.10 lladdr " + mac0 + " dev g1 nud permanent"},

	{space2, "ip addr add 192.168.1.10/24 dev g2"},
	{space2, "ip link set g2 up"},
	{space2, "ip route add default via 192.168.1.1"},
	{space2, "ip neigh replace 192.168.1.1 lladdr " + blueMAC + " dev g2 nud permanent"},

	{hypervisor, "iptables-nft -w -A FORWARD -m conntrack --ctstate INVALID -j DROP"},
	// What connection tracking has forgotten must not be answered by the hypervisor itself.
	{hypervisor, "iptables-nft -w -A INPUT -i ens3 -j DROP"},
	{hypervisor, "iptables-nft -w -t nat -A PREROUTING -i ens3 -d 192.0.2.1 -p tcp --dport 2200 -j DNAT --to-destination 192.168.0.11:22"},
	{hypervisor, "iptables-nft -w -t nat -A POSTROUTING -o ens3 -s 192.168.0.11 -p udp -j SNAT --to-source " + publicA},
	// So that it is the same connection outside if a guest's packet is the first that is seen of it.
	{hypervisor, "iptables-nft -w -t nat -A POSTROUTING -o ens3 -s 192.168.0.11 -p tcp --sport 22 -j SNAT --to-source 192.0.2.1:2200"},
	{hypervisor, "iptables-nft -w -t nat -A POSTROUTING -o ens3 -s 192.168.0.0/16 -j MASQUERADE"},
}

// run runs a command in a namespace.
func (w *world) run(space, command string) error {
	words := strings.Fields(strings.ReplaceAll(command, "PREFIX", w.prefix))
	err := w.spaces[space].Do(func() error {
		out, err := exec.CommandContext(context.Background(), words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", space, command, err)
	}
	return nil
}

// sysctl sets what there is to be set.
func (w *world) sysctl(space string, settings ...string) {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		_ = w.spaces[space].Do(func() error { return os.WriteFile(path, []byte(value), 0) })
	}
}

func (w *world) close() error {
	var errs []error
	for _, e := range w.ends {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	for _, ns := range w.spaces {
		errs = append(errs, ns.Close(), netns.Delete(ns.Name()))
	}
	return errors.Join(errs...)
}
