// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// What is on a host, as "name kind master", where a bridge that filters VLANs is a "tagged"
// one, and what is on top of a device is "name vlan on device".
func devicesOf(t *testing.T, text string) []device {
	t.Helper()
	var devices []device
	index := map[string]int{}
	for l := range strings.Lines(text) {
		words := strings.Fields(l)
		if len(words) < 2 {
			continue
		}
		d := device{name: words[0], kind: words[1], index: len(devices) + 1, frames: true}
		if d.kind == "tagged" {
			d.kind, d.tagged = kindBridge, true
		}
		if d.kind == "tun" {
			d.kind, d.frames = kindTap, false
		}
		switch {
		case len(words) == 4:
			d.below = index[words[3]]
		case len(words) == 3:
			if d.master = index[words[2]]; d.master == 0 {
				d.master = 999
			}
		}
		index[d.name] = d.index
		devices = append(devices, d)
	}
	return devices
}

func setOf(t *testing.T) *tenant.Set {
	t.Helper()
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"tap-red-*", "mgmt*"}, Bridges: []string{"br-red*"}},
		{ID: "blue", Ports: []string{"tap-blue-*"}, Bridges: []string{"br-blue"}},
	}, nil, []string{"wan*"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Whose are the devices, and what is wrong?
func TestAssign(t *testing.T) {
	for name, c := range map[string]struct {
		host    string
		devices string // of red
		ports   string // of red, each with its device
		problem string // of red
		blue    string // the problem of blue
	}{
		"a bridge and its ports": {
			host:    "ens3 device\nbr-red bridge\ntap-red-0 veth br-red\nvnet7 tuntap br-red",
			devices: "br-red", ports: "tap-red-0:br-red vnet7:br-red",
		},
		"a routed port":            {host: "tap-red-0 veth\ntap-blue-0 veth", devices: "tap-red-0", ports: "tap-red-0:tap-red-0"},
		"a bridge without ports":   {host: "br-red bridge", devices: "br-red"},
		"a port without frames":    {host: "tap-red-0 tun", devices: "tap-red-0"},
		"a tunnel on a bridge":     {host: "br-red bridge\nvx veth\nvxlan7 vxlan br-red", devices: "br-red"},
		"a bridge by its ports":    {host: "docker0 bridge\ntap-red-0 veth docker0", devices: "docker0", ports: "tap-red-0:docker0"},
		"hardware by its own name": {host: "br-red bridge\ntap-red-vf device br-red", devices: "br-red"},
		"nothing":                  {host: "ens3 device"},
		"nobody's port on a bridge": {
			host: "docker0 bridge\ntap-red-0 veth docker0\nveth1 veth docker0", devices: "docker0", ports: "tap-red-0:docker0",
			problem: "port veth1 of bridge docker0 belongs to nobody: add it, or the bridge, to tenant red",
		},
		"another's port on a bridge": {
			host: "docker0 bridge\ntap-red-0 veth docker0\ntap-blue-0 veth docker0", devices: "docker0", ports: "tap-red-0:docker0",
			problem: "port tap-blue-0 of tenant blue is on bridge docker0", blue: "port tap-red-0 of tenant red is on bridge docker0",
		},
		"another's port on red's bridge": {
			host: "br-red bridge\ntap-blue-0 veth br-red", devices: "br-red",
			problem: "port tap-blue-0 of tenant blue is on bridge br-red", blue: "bridge br-red is also tenant red's",
		},
		"an uplink in the bridge": {
			host: "br-red bridge\ntap-red-0 veth br-red\nens3 device br-red", devices: "br-red", ports: "tap-red-0:br-red",
			problem: "port ens3 of bridge br-red leads out of the host",
		},
		"a named uplink in the bridge": {
			host: "br-red bridge\nwan0 veth br-red", devices: "br-red", problem: "port wan0 of bridge br-red leads out of the host",
		},
		"VLANs": {host: "br-red tagged", devices: "br-red", problem: "bridge br-red filters VLANs"},
		"on Open vSwitch": {
			host: "ovs-system openvswitch\ntap-red-0 veth ovs-system", problem: "port tap-red-0 is on Open vSwitch (ovs-system)",
		},
		"a bridge of Open vSwitch": {host: "br-red openvswitch", problem: "bridge br-red is one of Open vSwitch"},
		"in a VRF": {
			host: "vrf-a vrf\ntap-red-0 veth vrf-a", problem: "device tap-red-0 is enslaved to vrf-a, a vrf",
		},
		"a bridge in a VRF": {
			host: "vrf-a vrf\nbr-red bridge vrf-a", devices: "br-red", problem: "device br-red is enslaved to vrf-a, a vrf",
		},
		"in a bond":                       {host: "bond0 bond\ntap-red-0 veth bond0", problem: "device tap-red-0 is enslaved to bond0, a bond"},
		"a master that is not to be seen": {host: "tap-red-0 veth gone", problem: "device tap-red-0 is enslaved to a device that is not here"},
		"past the host":                   {host: "tap-red-0 macvtap", problem: "port tap-red-0 is a macvtap, whose packets do not pass"},
		"a VLAN on top": {
			host: "br-red bridge\nbr-red.7 vlan on br-red", devices: "br-red", problem: "br-red.7, a vlan, is on top of br-red",
		},
		"a VLAN on top of a port": {
			host: "br-red bridge\ntap-red-0 veth br-red\nv7 vlan on tap-red-0", devices: "br-red", ports: "tap-red-0:br-red",
			problem: "v7, a vlan, is on top of tap-red-0",
		},
		"a VLAN that is red's": {host: "tap-red-0 veth\ntap-red-0.7 vlan on tap-red-0", devices: "tap-red-0 tap-red-0.7", ports: "tap-red-0:tap-red-0"},
	} {
		t.Run(name, func(t *testing.T) {
			devices := devicesOf(t, c.host)
			h := assign(devices, nil, setOf(t))
			red := h.Get("red")
			var names, ports []string
			of := map[int]string{}
			for _, d := range red.Devices {
				names, of[d.Index] = append(names, d.Name), d.Name
			}
			for _, p := range red.Ports {
				ports = append(ports, fmt.Sprintf("%s:%s", p.Name, of[p.Device]))
			}
			if got := strings.Join(names, " "); got != c.devices {
				t.Errorf("devices %q, want %q", got, c.devices)
			}
			if got := strings.Join(ports, " "); got != c.ports {
				t.Errorf("ports %q, want %q", got, c.ports)
			}
			for id, want := range map[string]string{"red": c.problem, "blue": c.blue} {
				if got := h.Get(id).Problem; !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Errorf("problem of %s: %q, want %q", id, got, want)
				}
			}
		})
	}
}

// Uplinks, addresses and MACs are there, each once.
func TestAssignRest(t *testing.T) {
	devices := devicesOf(t, "lo device\nens3 device\nwan1 veth\nbr-red bridge\ntap-red-0 veth br-red")
	devices[0].loopback = true
	devices[3].mac = [6]byte{2, 0, 0, 0, 0, 7}
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	got := assign(devices, map[int][]netip.Addr{2: {two}, 4: {one, two}}, setOf(t))
	want := &scope.Host{
		Tenants: []scope.Tenant{
			{ID: "blue", Absent: []string{"br-blue"}},
			{
				ID:      "red",
				Devices: []scope.Device{{Name: "br-red", Index: 4, MAC: [6]byte{2, 0, 0, 0, 0, 7}, Addrs: []netip.Addr{one, two}}},
				Ports:   []scope.Port{{Name: "tap-red-0", Index: 5, Device: 4}},
			},
		},
		Uplinks: []string{"ens3", "wan1"},
		Local:   []netip.Addr{one, two},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(scope.Tenant{}, "Number"), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
	if h := assign(devices, nil, nil); len(h.Tenants) != 0 || len(h.Uplinks) != 1 {
		t.Errorf("without tenants: %v", h)
	}
}

// A port of two tenants is a problem of both.
func TestTwoOwners(t *testing.T) {
	set, err := tenant.NewSet([]tenant.Tenant{{ID: "red", Ports: []string{"tap*"}}, {ID: "blue", Ports: []string{"*0"}}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"tap0 veth", "br bridge\ntap0 veth br"} {
		h := assign(devicesOf(t, host), nil, set)
		for id, other := range map[string]string{"red": "blue", "blue": "red"} {
			if got, want := h.Get(id).Problem, "port tap0 is also tenant "+other+"'s"; !strings.HasPrefix(got, want) {
				t.Errorf("%q: problem of %s: %q", host, id, got)
			}
		}
	}
}
