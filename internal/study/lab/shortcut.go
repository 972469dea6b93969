// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// Shortcut says between which devices of a topology a fast path may be.
type Shortcut struct {
	// In is the role of the host that has them.
	In string
	// Port is the device towards the guest, NIC the one towards the target.
	Port, NIC string
	// Bridges are those of the host, which the packets pass.
	Bridges []string
	// Networks are the guest's.
	Networks []netip.Prefix
}

// Shortcut returns where the topology's fast path may be. ok is false where no host forwards the
// packets of a guest, several guests have hosts of their own, or it puts the packets into a tunnel.
func (t Topology) Shortcut() (s Shortcut, ok bool) {
	for _, role := range []string{Hypervisor, Near} {
		if _, ok := t.Space(role); ok && s.In == "" {
			s.In = role
		}
	}
	if s.In == "" || len(t.Guests()) != 1 || len(t.VXLANs) > 0 {
		return s, false
	}
	for _, v := range t.Veths {
		for i, end := range v {
			switch {
			case end.In == t.Guests()[0]:
				for _, p := range end.Addrs {
					s.Networks = append(s.Networks, p.Masked())
				}
			case end.In != s.In:
			case i == 0: // the way to the target begins here
				s.NIC = end.Name
			default:
				s.Port = end.Name
			}
		}
	}
	for _, b := range t.Bridges {
		if b.In == s.In {
			s.Bridges = append(s.Bridges, b.Name)
		}
	}
	return s, s.Port != "" && s.NIC != ""
}
