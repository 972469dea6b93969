// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"maps"
	"slices"
)

// above returns the devices by which packets may be routed that arrive by one of the given, and those
// on the way there: a bridge that it belongs to, what is on top, and bridges that are connected by
// a pair of veth within the namespace. The given are only among them if they are above others.
func (s *snapshot) above(from []int) map[int]bool {
	seen, todo := map[int]bool{}, slices.Clone(from)
	add := func(i int) {
		if s.devices[i] != nil && !seen[i] {
			seen[i] = true
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		d := s.devices[todo[0]]
		todo = todo[1:]
		if d == nil {
			continue
		}
		add(d.master)
		for _, other := range s.devices {
			if other.below == d.index {
				add(other.index)
			}
			if d.kind == kindBridge && other.master == d.index && other.patch(s) {
				add(other.index)
			}
		}
		if d.patch(s) {
			add(d.peer)
		}
	}
	return seen
}

// patch reports whether the device is an end of a pair of which both are here.
func (d *device) patch(s *snapshot) bool {
	return d.kind == kindVeth && d.peerNS == here && s.devices[d.peer] != nil
}

// between returns whose the devices between ports and NICs are: those that only packets of one tenant
// pass, by its ID, and those that may be anybody's under "".
func (s *snapshot) between(ports map[string][]int, nics []int) map[string][]int {
	owners := map[int][]string{}
	for id, own := range ports {
		for i := range s.above(own) {
			owners[i] = append(owners[i], id)
		}
	}
	common := s.above(nics)
	for _, d := range s.devices {
		if d.tunnel() {
			common[d.index] = true
			maps.Copy(common, s.above([]int{d.index}))
		}
	}
	for i := range common {
		owners[i] = append(owners[i], "")
	}
	out := map[string][]int{}
	for _, i := range slices.Sorted(maps.Keys(owners)) {
		if slices.Contains(nics, i) {
			continue
		}
		id := ""
		if len(owners[i]) == 1 {
			id = owners[i][0]
		}
		if id != "" && slices.Contains(ports[id], i) {
			continue
		}
		out[id] = append(out[id], i)
	}
	return out
}
