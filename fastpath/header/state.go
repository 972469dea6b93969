// SPDX-License-Identifier: Apache-2.0

package header

// States returns every value that the word [State] can have.
func States() []uint32 {
	states := []uint32{StateOf(Invalid, 0), StateOf(Untracked, 0)}
	for _, ct := range []CT{New, Established, Related} {
		for bits := uint32(0); bits < StateEnd; bits += StateReply {
			states = append(states, StateOf(ct, bits))
		}
	}
	return states
}

// AllStates returns [States] as bits: bit n is set if the word can be n.
func AllStates() uint64 { return Set(nil).States() }

// States returns those of [AllStates] that the set has.
func (s Set) States() uint64 {
	// The lowest three bits of the number are the CT: five of eight can be, and the first and
	// the last of them have no bits above.
	const ones, bare = 0x0101010101010101, 1<<Invalid | 1<<Untracked
	all := uint64(ones*(1<<New|1<<Established|1<<Related) | bare)
	if s == nil {
		return all
	}
	var in uint64
	for _, i := range s {
		if i.Lo >= StateEnd {
			break
		}
		hi := min(i.Hi, StateEnd-1)
		in |= ^uint64(0) << i.Lo & (^uint64(0) >> (StateEnd - 1 - hi))
	}
	return in & all
}

// StatesOf returns those of [AllStates] in which the box would have the packet.
func (b *Box) StatesOf(p *Packet) uint64 {
	for w, s := range b {
		if s != nil && Word(w) != State && !s.Has(p.Words[w]) {
			return 0
		}
	}
	return b[State].States()
}
