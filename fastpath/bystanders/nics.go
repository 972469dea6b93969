// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"fmt"
	"slices"
)

// findNICs returns the devices of default routes, or rather those by which the packets leave; and
// what could not be found out.
func (s *snapshot) findNICs(ports []int) (nics []int, problem string) {
	var follow func(i int, depth int)
	add := func(i int) {
		if !slices.Contains(nics, i) && !slices.Contains(ports, i) {
			nics = append(nics, i)
		}
	}
	follow = func(i int, depth int) {
		const deepest = 8
		d := s.devices[i]
		switch {
		case d == nil || d.loopback || slices.Contains(ports, i):
		case depth > deepest:
			problem = fmt.Sprintf("%s leads to itself", d.name)
		case d.kind == kindBridge:
			for _, m := range s.outward(d, ports) {
				follow(m, depth+1)
			}
		case d.tunnel() && d.underlay == 0:
			problem = fmt.Sprintf("it is not known by which device packets of the tunnel %s leave: name the NIC in the configuration", d.name)
		case d.tunnel():
			follow(d.underlay, depth+1)
		default:
			add(i)
		}
	}
	for _, i := range s.defaults {
		follow(i, 0)
	}
	if len(nics) == 0 && problem == "" {
		problem = "no default route leads to a device that is not a tenant's: name the NIC in the configuration"
	}
	slices.Sort(nics)
	return nics, problem
}

// outward returns the members of a bridge that lead out of the host: those that are not the ends of guests'
// links or, if there are only such, those that are nobody's.
func (s *snapshot) outward(bridge *device, ports []int) []int {
	var sure, perhaps []int
	for _, d := range s.devices {
		switch {
		case d.master != bridge.index || slices.Contains(ports, d.index):
		case d.kind == kindVeth || d.kind == kindTap:
			perhaps = append(perhaps, d.index)
		default:
			sure = append(sure, d.index)
		}
	}
	if len(sure) > 0 {
		return sure
	}
	return perhaps
}

// named returns the devices that have the names.
func (s *snapshot) named(names []string) (nics []int, problem string) {
	for _, name := range names {
		found := false
		for _, d := range s.devices {
			if d.name == name {
				nics, found = append(nics, d.index), true
			}
		}
		if !found {
			problem = fmt.Sprintf("the NIC %s is not there: is its name right in the configuration?", name)
		}
	}
	slices.Sort(nics)
	nics = slices.Compact(nics)
	if len(nics) > 0 {
		problem = "" // flows by the others may be fast
	}
	return nics, problem
}
