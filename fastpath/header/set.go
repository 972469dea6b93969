// SPDX-License-Identifier: Apache-2.0

package header

// Interval is the values from Lo to Hi, both included.
type Interval struct{ Lo, Hi uint32 }

// Set is a set of values of one word: intervals in order that neither overlap nor touch. A
// nil Set in a [Box] means all values. An empty Set that is not nil has no values.
type Set []Interval

// Has reports whether the set has the value. A nil Set has all.
func (s Set) Has(v uint32) bool {
	if s == nil {
		return true
	}
	for _, i := range s {
		if v < i.Lo {
			return false
		}
		if v <= i.Hi {
			return true
		}
	}
	return false
}

// Box is the packets whose every word is in the set of that word.
type Box [Words]Set

// Has reports whether the box has the packet.
func (b *Box) Has(p *Packet) bool {
	for w, s := range b {
		if s != nil && !s.Has(p.Words[w]) {
			return false
		}
	}
	return true
}

// Packet is a packet, as a point of the space.
type Packet struct {
	Family Family
	Words  [Words]uint32
}
