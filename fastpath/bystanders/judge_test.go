// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/scope"
)

// hostOf makes a host of devices that are given in few words, and of tenants' ports. Not each
// kernel has all of these kinds, so it is not asked.
func hostOf(tenants map[string][]string, devices ...device) (*snapshot, *scope.Host) {
	s := &snapshot{devices: map[int]*device{}}
	h := &scope.Host{}
	for i := range devices {
		d := devices[i]
		d.index, d.ethernet = i+1, d.kind != "tun" && d.kind != "wireguard"
		if d.peerNS == 0 {
			d.peerNS = here
		}
		if d.kind == kindBridge && d.ageing == 0 {
			d.ageing = 30000
		}
		s.devices[d.index] = &d
	}
	for id, names := range tenants {
		t := scope.Tenant{ID: id}
		for _, d := range s.devices {
			if slices.Contains(names, d.name) {
				t.Ports = append(t.Ports, scope.Port{Name: d.name, Index: d.index})
			}
		}
		h.Tenants = append(h.Tenants, t)
	}
	return s, h
}

// names returns the devices' names, in order of indices.
func (s *snapshot) names(indices []int) string {
	var names []string
	for _, i := range indices {
		names = append(names, s.devices[i].name)
	}
	return strings.Join(names, " ")
}

// NICs are found behind bridges and tunnels, and never are tenants' ports.
func TestFindNICs(t *testing.T) {
	red := map[string][]string{"red": {"red0"}}
	for name, c := range map[string]struct {
		defaults []int
		devices  []device
		want     string
		problem  string
	}{
		"hardware":   {[]int{1, 1}, []device{{name: "eth0", kind: kindHardware}}, "eth0", ""},
		"two":        {[]int{2, 1}, []device{{name: "eth0", kind: kindHardware}, {name: "eth1", kind: kindHardware}}, "eth0 eth1", ""},
		"VLAN":       {[]int{2}, []device{{name: "eth0", kind: kindHardware}, {name: "eth0.7", kind: "vlan", below: 1}}, "eth0.7", ""},
		"bond":       {[]int{2}, []device{{name: "eth0", kind: kindHardware, master: 2}, {name: "bond0", kind: "bond"}}, "bond0", ""},
		"bridge":     {[]int{2}, []device{{name: "eth0", kind: kindHardware, master: 2}, {name: "br0", kind: kindBridge}, {name: "red0", kind: kindVeth, master: 2}, {name: "c0", kind: kindVeth, master: 2}}, "eth0", ""},
		"veth":       {[]int{2}, []device{{name: "c0", kind: kindVeth, master: 2}, {name: "br0", kind: kindBridge}, {name: "red0", kind: kindVeth, master: 2}}, "c0", ""},
		"VXLAN":      {[]int{2}, []device{{name: "eth0", kind: kindHardware}, {name: "vx", kind: "vxlan", underlay: 1}}, "eth0", ""},
		"bridged":    {[]int{3}, []device{{name: "eth0", kind: kindHardware}, {name: "vx", kind: "vxlan", underlay: 1, master: 3}, {name: "br0", kind: kindBridge}}, "eth0", ""},
		"WireGuard":  {[]int{1}, []device{{name: "wg0", kind: "wireguard"}}, "", "it is not known by which device packets of the tunnel wg0 leave"},
		"a guest":    {[]int{1}, []device{{name: "red0", kind: kindTap}}, "", "no default route leads to a device"},
		"loop":       {[]int{1}, []device{{name: "gre1", kind: "gre", underlay: 2}, {name: "gre2", kind: "gre", underlay: 1}}, "", "gre2 leads to itself"},
		"no routes":  {nil, []device{{name: "eth0", kind: kindHardware}}, "", "no default route leads to a device"},
		"loopback":   {[]int{1}, []device{{name: "lo", kind: kindHardware, loopback: true}}, "", "no default route leads to a device"},
		"disappears": {[]int{7}, []device{{name: "eth0", kind: kindHardware}}, "", "no default route leads to a device"},
	} {
		s, h := hostOf(red, c.devices...)
		s.defaults = c.defaults
		var ports []int
		for _, p := range h.Tenants[0].Ports {
			ports = append(ports, p.Index)
		}
		got, problem := s.findNICs(ports)
		if s.names(got) != c.want || !strings.HasPrefix(problem, c.problem) || (problem == "") != (c.problem == "") {
			t.Errorf("%s: %q, %q", name, s.names(got), problem)
		}
	}
}

// What is in the way is whose it is; what may be several tenants' is everybody's.
func TestJudge(t *testing.T) {
	tbf := []string{"mq", "fq_codel", "tbf"}
	nic := device{name: "eth0", kind: kindHardware, queues: []string{"mq", "fq_codel", "fq"}}
	both := map[string][]string{"red": {"red0"}, "blue": {"blue0"}}
	for name, c := range map[string]struct {
		devices []device
		// all, red and port are what everybody, red and red0 are told.
		all, red, port, nic string
	}{
		"nothing":       {[]device{nic, {name: "red0", kind: kindVeth, master: 3, queues: []string{"pfifo_fast"}}, {name: "br0", kind: kindBridge, queues: []string{"noqueue"}}}, "", "", "", ""},
		"own bridge":    {[]device{nic, {name: "red0", kind: kindVeth, master: 3}, {name: "br0", kind: kindBridge, queues: tbf}}, "", "br0, which", "", ""},
		"shared bridge": {[]device{nic, {name: "red0", kind: kindVeth, master: 3}, {name: "br0", kind: kindBridge, queues: tbf}, {name: "blue0", kind: kindVeth, master: 3}}, "br0, which", "", "", ""},
		"VLAN on it":    {[]device{nic, {name: "red0", kind: kindVeth, master: 3}, {name: "br0", kind: kindBridge}, {name: "br0.7", kind: "vlan", below: 3, queues: tbf}}, "", "br0.7, which", "", ""},
		"VLAN on NIC":   {[]device{nic, {name: "red0", kind: kindVeth}, {name: "eth0.7", kind: "vlan", below: 1, queues: tbf}}, "eth0.7, which", "", "", ""},
		"bridge of NIC": {[]device{{name: "eth0", kind: kindHardware, master: 3}, {name: "red0", kind: kindVeth, master: 3}, {name: "br0", kind: kindBridge, xdp: "a program at XDP"}}, "br0, which", "", "", ""},
		"tunnel":        {[]device{nic, {name: "red0", kind: kindVeth}, {name: "wg0", kind: "wireguard", foreign: []string{"filters"}}}, "wg0, which", "", "", ""},
		"its bridge":    {[]device{nic, {name: "red0", kind: kindVeth}, {name: "vx", kind: "vxlan", master: 4}, {name: "br0", kind: kindBridge, ageing: 1}}, "bridge br0 forgets", "", "", ""},
		"elsewhere":     {[]device{nic, {name: "red0", kind: kindVeth}, {name: "c0", kind: kindVeth, queues: tbf, foreign: []string{"filters"}}, {name: "docker0", kind: kindBridge, queues: tbf}}, "", "", "", ""},
		"bond":          {[]device{{name: "eth0", kind: kindHardware, master: 2}, {name: "bond0", kind: "bond"}, {name: "red0", kind: kindVeth}}, "", "", "", "eth0 belongs to bond0 (bond)"},
		"Open vSwitch":  {[]device{nic, {name: "red0", kind: kindVeth, master: 3}, {name: "ovs-system", kind: "openvswitch"}}, "", "", "red0 belongs to ovs-system (openvswitch)", ""},
		"MACsec":        {[]device{nic, {name: "red0", kind: kindVeth}, {name: "ms0", kind: "macsec", below: 1}}, "", "", "", "ms0 (macsec) is on top of eth0"},
		"macvlan":       {[]device{nic, {name: "red0", kind: kindVeth}, {name: "mv0", kind: "macvlan", below: 1}}, "", "", "", ""},
		"not Ethernet":  {[]device{{name: "eth0", kind: "wireguard"}, {name: "red0", kind: kindVeth}}, "", "", "", "eth0 is not an Ethernet device"},
	} {
		s, h := hostOf(both, c.devices...)
		f := s.judge(h, []string{"eth0", "later0"})
		got := map[string]string{"all": f.Blocked, "red": f.Tenants["red"]}
		for _, d := range f.Devices {
			got[d.Name] = d.Blocked
		}
		for key, want := range map[string]string{"all": c.all, "red": c.red, "red0": c.port, "eth0": c.nic} {
			if !strings.HasPrefix(got[key], want) || (got[key] == "") != (want == "") {
				t.Errorf("%s: %s: %q, want %q", name, key, got[key], want)
			}
		}
	}
}

// A NIC that is not there, or is a guest's, is told.
func TestNamed(t *testing.T) {
	s, h := hostOf(map[string][]string{"red": {"red0"}}, device{name: "red0", kind: kindVeth})
	if f := s.judge(h, []string{"eth7"}); f.Blocked != "the NIC eth7 is not there: is its name right in the configuration?" {
		t.Errorf("%q", f.Blocked)
	}
	if f := s.judge(h, []string{"red0"}); f.Blocked != "the NIC red0 is a port of tenant red" || len(f.Devices) != 1 {
		t.Errorf("%+v", f)
	}
	s.bridged = "there are rules"
	s.devices[2] = &device{index: 2, name: "eth0", kind: kindHardware, ethernet: true}
	if f := s.judge(h, []string{"eth0"}); f.Why("red") != "there are rules" {
		t.Errorf("%+v", f)
	}
}

// What is connected with a port, a NIC or a tunnel is near; what only others have is not.
func TestNear(t *testing.T) {
	s, h := hostOf(map[string][]string{"red": {"red0"}},
		device{name: "eth0", kind: kindHardware},
		device{name: "br-red", kind: kindBridge},
		device{name: "red0", kind: kindTap, master: 2},
		device{name: "stranger", kind: kindTap, master: 2},
		device{name: "docker0", kind: kindBridge},
		device{name: "container", kind: kindVeth, master: 5, peer: 9, peerNS: 3},
		device{name: "eth0.7", kind: "vlan", below: 1},
		device{name: "vx", kind: "vxlan", master: 9},
		device{name: "br-vx", kind: kindBridge},
		device{name: "left", kind: kindVeth, peer: 11},
		device{name: "right", kind: kindVeth, peer: 10},
		device{name: "br-patch", kind: kindBridge, master: 0},
		device{name: "p", kind: kindVeth, peer: 14, master: 12},
		device{name: "q", kind: kindVeth, peer: 13, master: 2},
	)
	near := s.judge(h, []string{"eth0"}).Near
	var is, isNot []int
	for i := 1; i <= len(s.devices); i++ {
		if near[i] {
			is = append(is, i)
		} else {
			isNot = append(isNot, i)
		}
	}
	if got := s.names(is); got != "eth0 br-red red0 stranger eth0.7 vx br-vx br-patch p q" || len(near) != len(s.devices) {
		t.Errorf("near: %s; not: %s; %v", got, s.names(isNot), near)
	}
}
