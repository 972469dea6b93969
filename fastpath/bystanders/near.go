// SPDX-License-Identifier: Apache-2.0

package bystanders

// near says of each device whether it is connected with one of the given: because one belongs to the other, is on
// top of it or is the other end of a pair, or because both are so with a third. Packets that pass one of the given
// can only be concerned by what is near; a bridge of containers, and what is behind it, is not.
func (s *snapshot) near(from []int) map[int]bool {
	near, beside := map[int]bool{}, map[int][]int{}
	for i, d := range s.devices {
		near[i] = false
		others := []int{d.master, d.below, d.underlay}
		if d.patch(s) {
			others = append(others, d.peer)
		}
		for _, other := range others {
			beside[i] = append(beside[i], other)
			beside[other] = append(beside[other], i)
		}
	}
	for todo := from; len(todo) > 0; {
		i := todo[0]
		todo = todo[1:]
		if found, there := near[i]; there && !found {
			near[i] = true
			todo = append(todo[:len(todo):len(todo)], beside[i]...)
		}
	}
	return near
}

// concerned returns the devices from which what is near is found: ports, NICs, what is between them, tunnels,
// and what is the host's own.
func (s *snapshot) concerned(ports, nics []int, between map[string][]int) []int {
	all := append(append([]int{}, ports...), nics...)
	for _, devices := range between {
		all = append(all, devices...)
	}
	for i, d := range s.devices {
		if d.loopback || d.tunnel() {
			all = append(all, i)
		}
	}
	return append(all, s.defaults...)
}
