// SPDX-License-Identifier: Apache-2.0

package twin

import "fmt"

// Overlay says what is between a guest's bridge and the NIC.
type Overlay uint8

// The overlays.
const (
	// Plain: nothing; frames leave as they are.
	Plain Overlay = iota
	// Bridged: a VXLAN tunnel is a port of the guests' bridge.
	Bridged
	// Routed: packets are routed to a VXLAN tunnel.
	Routed
)

// Spec says how a hypervisor forwards.
type Spec struct {
	Name string
	// Bridge: the NIC is a port of the guests' bridge. Otherwise packets are routed.
	Bridge  bool
	Overlay Overlay
	// NAT: addresses and ports are translated, in all the ways that iptables knows.
	NAT bool
	// Track: there is a rule that looks at the state of connections, so they are tracked. With a
	// bridge it is asked for what is bridged, too.
	Track bool
	// Tap: the first guest is behind a tap, not behind a veth pair.
	Tap bool
	// Peer: what goes to a guest may be given to the other end of its veth pair at once.
	Peer bool
	// Windows: connection tracking checks the sequence numbers of TCP, as it does by default. Then
	// nothing is sent that is odd about a connection's opening and closing: it is a matter of what
	// tracking has seen before whether such packets are valid, and it sees less with the fast path.
	Windows bool
	// Software: NIC and ports neither cut segments nor fill in checksums.
	Software bool
}

// Specs returns all kinds of hypervisors that are compared.
func Specs() []Spec {
	return []Spec{
		{Name: "bridge", Bridge: true},
		{Name: "bridge-tracked", Bridge: true, Track: true, Peer: true},
		{Name: "bridge-windows", Bridge: true, Track: true, Windows: true},
		{Name: "routed"},
		{Name: "routed-tracked", Track: true, Peer: true},
		{Name: "nat", NAT: true},
		{Name: "nat-windows", NAT: true, Windows: true},
		{Name: "nat-peer", NAT: true, Peer: true},
		{Name: "nat-software", NAT: true, Software: true},
		{Name: "nat-tap", NAT: true, Tap: true},
		{Name: "nat-tap-software", NAT: true, Tap: true, Software: true},
		{Name: "bridge-tap", Bridge: true, Tap: true},
		{Name: "vxlan-bridged", Bridge: true, Overlay: Bridged},
		{Name: "vxlan-bridged-tracked", Bridge: true, Overlay: Bridged, Track: true, Peer: true},
		{Name: "vxlan-bridged-software", Bridge: true, Overlay: Bridged, Software: true},
		{Name: "vxlan-routed", Overlay: Routed, Track: true},
		{Name: "vxlan-routed-nat", Overlay: Routed, NAT: true, Peer: true},
	}
}

// SpecNamed returns the one with the name.
func SpecNamed(name string) (Spec, error) {
	for _, s := range Specs() {
		if s.Name == name {
			return s, nil
		}
	}
	return Spec{}, fmt.Errorf("there is no kind of hypervisor called %q", name)
}

// room is how many bytes of IP packet fit through the NIC.
func (s *Spec) room() int {
	if s.Overlay != Plain {
		return mtu - 50 // of Ethernet, IPv4, UDP and VXLAN
	}
	return mtu
}
