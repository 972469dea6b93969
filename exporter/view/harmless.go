// SPDX-License-Identifier: Apache-2.0

package view

// harmless reports whether there is nothing in the trace that the viewer may not see. The
// ping's addresses are those of the root's packet.
func (b *builder) harmless() bool {
	t := b.from
	for i := range t.Spans {
		s := &t.Spans[i]
		switch {
		case b.leftOut(i),
			b.viewer.ofNetNS(s.NetNS) == hidden,
			b.device(s.Device) != s.Device, b.device(s.Peer) != s.Peer,
			b.packet(s.Packet) != s.Packet:
			return false
		}
		for _, e := range s.Events {
			if shown, ok := b.event(e); !ok || len(shown.Attrs) != len(e.Attrs) {
				return false
			}
		}
	}
	return true
}

// leftOut reports whether the span at index i is a leaf, or a journey without any, that the
// viewer does not see.
func (b *builder) leftOut(i int) bool {
	s := &b.from.Spans[i]
	switch {
	case i == 0 || b.visible[i]:
		return false
	case s.Kind.Journey():
		return b.from.After(i) == i+1
	}
	return s.Leaf && (s.Depth > 1 || b.classes[i] == hidden)
}
