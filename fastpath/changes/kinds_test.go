// SPDX-License-Identifier: Apache-2.0

package changes_test

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/changes"
)

// hypervisor has a bridge with two ports, and a device for what has to be read before a test goes on.
const hypervisor = `
	echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
	ip link add br0 type bridge
	ip link add p0 type veth peer name g0; ip link add p1 type veth peer name g1
	ip link add sentinel type bridge
	ip link set p0 master br0; ip link set p1 master br0
	for d in lo br0 p0 p1 g0 g1 sentinel; do ip link set $d up; done
	ip neigh add 192.0.2.250 dev sentinel lladdr 02:00:00:00:fe:00
	for d in br0 p0 p1 g0 g1; do until ip link show $d | grep -q "state UP"; do :; done; done
`

// Each kind of change is reported, with what it may concern.
func TestKinds(t *testing.T) {
	w := watch(t, hypervisor+"ip addr add 192.0.2.1/24 dev br0")
	const deviceOf = changes.Some | changes.Devices
	for _, c := range []struct {
		script  string
		kind    changes.Kind
		devices []string
	}{
		{"ip link set p0 down", deviceOf, []string{"p0"}},
		{"ip link set p0 up", deviceOf, []string{"p0"}},
		{"ip link set g0 down", deviceOf, []string{"p0"}},
		{"ip link set p0 mtu 1400", deviceOf, []string{"p0"}},
		{"ip link set p0 address 02:00:00:00:00:77", deviceOf, []string{"p0"}},
		{"ip link set p0 nomaster", deviceOf, []string{"p0", "br0"}},
		{"ip link set p0 master br0", deviceOf, []string{"p0", "br0"}},
		{"ip link set p0 txqueuelen 77", deviceOf, []string{"p0"}},
		{"ip link set br0 type bridge ageing_time 4000", deviceOf, []string{"br0"}},
		{"bridge link set dev p0 learning off", deviceOf, []string{"p0"}},
		{"ip addr add 192.0.2.2/24 dev br0", changes.All, nil},
		{"ip addr del 192.0.2.2/24 dev br0", changes.All, nil},
		{"ip route add 198.51.100.0/24 dev br0", changes.All, nil},
		{"ip route del 198.51.100.0/24", changes.All, nil},
		{"echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6; ip -6 route add 2001:db8:1::/48 dev lo", changes.All, nil},
		{"ip rule add fwmark 7 table 7", changes.All | changes.Rules, nil},
		{"ip -6 rule add fwmark 7 table 7", changes.All | changes.Rules, nil},
		{"ip nexthop add id 1 via 192.0.2.9 dev br0", changes.All, nil},
		{"echo 1 >/proc/sys/net/ipv4/conf/p1/rp_filter", changes.All | changes.Rules, nil},
		{"echo 1 >/proc/sys/net/ipv4/ip_forward", changes.All | changes.Rules, nil},
		{"tc qdisc add dev br0 root tbf rate 1mbit burst 10k latency 10ms", deviceOf, []string{"br0"}},
		{"tc qdisc add dev br0 clsact", deviceOf, []string{"br0"}},
		{"tc filter add dev br0 egress protocol ip u32 match u32 0 0 flowid 1:1", deviceOf, []string{"br0"}},
		{"nft add table ip t", changes.All | changes.Rules, nil},
		{"nft add chain netdev n c '{ type filter hook ingress device br0 priority 0; }' || nft add table netdev n", changes.All | changes.Rules, nil},
		{"iptables-nft -A FORWARD -j ACCEPT", changes.All | changes.Rules, nil},
		{"iptables-legacy -A FORWARD -s 192.0.2.1 -j ACCEPT", changes.All | changes.Rules, nil},
		{"ip xfrm policy add src 192.0.2.0/24 dst 203.0.113.0/24 dir fwd", changes.All, nil},
		{"ip link add tunnel type vxlan id 7 dstport 4789 remote 203.0.113.7", changes.Devices, nil},
		{"bridge fdb append 02:00:00:00:00:99 dev tunnel dst 203.0.113.8", changes.Some, []string{"tunnel"}},
		{"bridge fdb replace 02:00:00:00:00:99 dev tunnel dst 203.0.113.9", changes.Some, []string{"tunnel"}},
		{"bridge fdb del 02:00:00:00:00:99 dev tunnel", changes.Some, []string{"tunnel"}},
		{"ip link set tunnel down; ip link set tunnel name tunnel1", deviceOf, nil},
		{"ip link del g1", deviceOf, []string{"p1", "br0"}},
	} {
		w.expect(c.script, c.kind, c.devices...)
	}
}

// Of neighbours and of tables of bridges is reported what takes packets another way, of the ports
// concerned, and nothing else.
func TestNeighbours(t *testing.T) {
	w := watch(t, hypervisor+`
		ip neigh add 192.0.2.7 dev br0 lladdr 02:00:00:00:00:07 nud stale
		bridge fdb add 02:00:00:00:00:50 dev p0 master dynamic
	`)
	const some = changes.Some
	w.quiet("ip neigh change 192.0.2.7 dev br0 lladdr 02:00:00:00:00:07 nud reachable")
	w.quiet("ip neigh change 192.0.2.7 dev br0 lladdr 02:00:00:00:00:07 nud delay")
	w.quiet("ip neigh add 192.0.2.8 dev br0 lladdr 02:00:00:00:00:08 nud reachable")
	w.quiet("ip neigh add 192.0.2.9 dev br0 nud failed; ip neigh del 192.0.2.9 dev br0")
	w.quiet("ip neigh add proxy 192.0.2.7 dev br0; ip neigh del proxy 192.0.2.7 dev br0")
	w.expect("ip neigh change 192.0.2.7 dev br0 lladdr 02:00:00:00:00:17 nud reachable", some, "br0")
	w.expect("ip neigh change 192.0.2.7 dev br0 nud failed", some, "br0")
	w.quiet("ip neigh del 192.0.2.7 dev br0")
	w.expect("ip neigh del 192.0.2.8 dev br0", some, "br0")

	w.quiet("bridge fdb add 02:00:00:00:00:51 dev p0 master dynamic")
	w.expect("bridge fdb replace 02:00:00:00:00:50 dev p1 master dynamic", some, "p0", "p1")
	w.expect("bridge fdb replace 02:00:00:00:00:51 dev p1 master static", some, "p0", "p1")
	w.expect("bridge fdb del 02:00:00:00:00:50 dev p1 master", some, "p1")
	w.expect("bridge fdb add 02:00:00:00:00:50 dev p0 master dynamic", some, "p0", "p1") // it comes back elsewhere
	w.quiet("bridge fdb del 02:00:00:00:00:52 dev p0 master 2>/dev/null || true")
	w.expect("bridge fdb add 02:00:00:00:00:53 dev p0 master static", some, "p0")
	w.expect("bridge fdb replace 02:00:00:00:00:53 dev p0 master local", some, "p0")
}

// Whether a bridge calls iptables by its own settings decides which rules its packets meet, however it is
// set: then rules are read again.
func TestBridgeCallsRules(t *testing.T) {
	w := watch(t, hypervisor)
	const rules = changes.All | changes.Rules
	for _, family := range []string{"iptables", "ip6tables"} {
		on, off := "nf_call_"+family+" 1", "nf_call_"+family+" 0"
		w.expect("ip link set br0 type bridge "+on, rules)
		script := "ip link set br0 type bridge " + on + "; ip link set br0 type bridge ageing_time 4000"
		for _, c := range w.until(script) {
			if c.Kind.Has(changes.Rules) {
				t.Errorf("%s: reported %v: %s", script, c.Kind, c.What)
			}
		}
		w.expect("ip link set br0 type bridge "+off, rules)
		file := "/sys/class/net/br0/bridge/nf_call_" + family
		for _, value := range []string{"1", "0"} {
			w.expect("unshare -m /bin/sh -ec 'mount -t sysfs none /sys; echo "+value+" >"+file+"'", rules)
		}
		w.expect("ip link add br7 type bridge "+on, rules)
		w.expect("ip link del br7", rules)
	}
}

// Devices that come and go, such as those of containers, concern no flow: neither do their settings, until
// somebody changes them.
func TestComeAndGo(t *testing.T) {
	w := watch(t, "ip link add sentinel type bridge; ip link set sentinel up; ip neigh add 192.0.2.250 dev sentinel lladdr 02:00:00:00:fe:00; ip link add br0 type bridge")
	w.expect("ip link add here type bridge", changes.Devices)
	script := "ip link add a0 type veth peer name b0; ip link set a0 name a1; ip link del a1; ip link add v type bridge; ip link del v"
	for _, c := range w.until(script) {
		if c.Kind.Has(changes.All) || c.Kind.Has(changes.Rules) {
			t.Errorf("reported %v %v: %s", c.Kind, c.Devices, c.What)
		}
	}
	const settings = changes.All | changes.Rules
	w.expect("echo 2 >/proc/sys/net/ipv4/conf/here/rp_filter", settings)
	w.expect("echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter", settings)
	w.expect("ip link add p7 type veth peer name g7; ip link set p7 master br0", changes.Some|changes.Devices, "br0")
}
