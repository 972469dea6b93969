// SPDX-License-Identifier: Apache-2.0

package main

// step is a command in a namespace. PREFIX in it is that of names of namespaces, and what is in braces is the plan's.
type step struct{ space, command string }

// steps make the network.
var steps = []step{
	{hypervisor, "sysctl -qw {forward}"},
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
	{hypervisor, "ip addr add {red}/{net} dev br-red{nodad}"},
	{hypervisor, "ip addr add {blue}/{net} dev br-blue{nodad}"},
	{hypervisor, "ip addr add {uplink}/{net} dev ens3{nodad}"},
	{hypervisor, "ip link set br-red up"},
	{hypervisor, "ip link set br-blue up"},
	{hypervisor, "ip link set ens3 up"},
	{hypervisor, "ip neigh replace {guest0} lladdr " + mac0 + " dev br-red nud permanent"},
	{hypervisor, "ip neigh replace {guest1} lladdr " + mac1 + " dev br-red nud permanent"},
	{hypervisor, "ip neigh replace {guest2} lladdr " + mac2 + " dev br-blue nud permanent"},
	{hypervisor, "ip neigh replace {routerA} lladdr " + macA + " dev ens3 nud permanent"},
	{hypervisor, "ip neigh replace {routerB} lladdr " + macB + " dev ens3 nud permanent"},
	{hypervisor, "ip route add {servers} via {routerA}"},

	{outside, "ip link set o0 up"},
	{outside, "ip link add a0 link o0 address " + macA + " type macvlan mode bridge"},
	{outside, "ip link add b0 link o0 address " + macB + " type macvlan mode bridge"},
	{outside, "ip addr add {routerA}/{net} dev a0{nodad}"},
	{outside, "ip addr add {routerB}/{one} dev b0{nodad}"},
	{outside, "ip link set lo up"},
	{outside, "ip addr add {server}/{one} dev lo{nodad}"},
	{outside, "ip addr add {echoer}/{one} dev lo{nodad}"},
	{outside, "ip link set a0 up"},
	{outside, "ip link set b0 up"},
	{outside, "ip neigh replace {uplink} lladdr " + uplinkMAC + " dev a0 nud permanent"},
	{outside, "ip neigh replace {publicA} lladdr " + uplinkMAC + " dev a0 nud permanent"},
	{outside, "ip neigh replace {publicB} lladdr " + uplinkMAC + " dev a0 nud permanent"},

	{space0, "ip link set lo up"},
	{space0, "ip addr add {guest0}/{one} dev lo{nodad}"},
	{space0, "ip link set g0 up"},
	{space0, "ip link set g0b up"},
	{space0, "ip route add {reds} dev g0 src {guest0}"},
	{space0, "ip route add default via {red} dev g0 src {guest0}"},
	{space0, "ip neigh replace {red} lladdr " + redMAC + " dev g0 nud permanent"},
	{space0, "ip neigh replace {red} lladdr " + redMAC + " dev g0b nud permanent"},
	{space0, "ip neigh replace {guest1} lladdr " + mac1 + " dev g0 nud permanent"},
	{space0, "ip neigh replace {guest1} lladdr " + mac1 + " dev g0b nud permanent"},

	{space1, "ip addr add {guest1}/{net} dev g1{nodad}"},
	{space1, "ip link set g1 up"},
	{space1, "ip route add default via {red}"},
	{space1, "ip neigh replace {red} lladdr " + redMAC + " dev g1 nud permanent"},
	{space1, "ip neigh replace {guest0} lladdr " + mac0 + " dev g1 nud permanent"},

	{space2, "ip addr add {guest2}/{net} dev g2{nodad}"},
	{space2, "ip link set g2 up"},
	{space2, "ip route add default via {blue}"},
	{space2, "ip neigh replace {blue} lladdr " + blueMAC + " dev g2 nud permanent"},

	{hypervisor, "{iptables}-nft -w -A FORWARD -m conntrack --ctstate INVALID -j DROP"},
	// What connection tracking has forgotten must not be answered by the hypervisor itself.
	{hypervisor, "{iptables}-nft -w -A INPUT -i ens3 -j DROP"},
}
