// SPDX-License-Identifier: Apache-2.0

package header

// Empty reports whether the box has no packets.
func (b *Box) Empty() bool {
	for w := range b {
		s := b[w]
		if s != nil && (len(s) == 0 || s[0].Lo > Word(w).Max()) {
			return true
		}
	}
	return false
}

// With returns the packets of the box whose word is in the set. The box stays as it is.
func (b Box) With(w Word, s Set) Box {
	b[w] = b[w].Intersect(s)
	return b
}

// Intersect returns the packets that are in both boxes, and whether there are any.
func (b *Box) Intersect(o *Box) (Box, bool) {
	var both Box
	for w := range b {
		both[w] = b[w].Intersect(o[w])
	}
	return both, !both.Empty()
}

// Subtract returns the packets of the box that are not in o, as boxes of which no two have a
// packet in common: at most one for each word of o.
func (b *Box) Subtract(o *Box) []Box {
	if _, meet := b.Intersect(o); !meet {
		if b.Empty() {
			return nil
		}
		return []Box{*b}
	}
	var rest []Box
	in := *b
	for w := range o {
		if o[w] == nil {
			continue
		}
		out := in
		out[w] = in[w].Subtract(o[w], Word(w).Max())
		if !out.Empty() {
			rest = append(rest, out)
		}
		in[w] = in[w].Intersect(o[w])
	}
	return rest
}

// IntersectBoxes returns the packets that are in a box of both lists.
func IntersectBoxes(a, b []Box) []Box {
	var both []Box
	for i := range a {
		for j := range b {
			if in, some := a[i].Intersect(&b[j]); some {
				both = append(both, in)
			}
		}
	}
	return both
}

// SubtractBoxes returns the packets that are in a box of the first list, and in none of the second.
func SubtractBoxes(a, b []Box) []Box {
	var rest []Box
	for i := range a {
		if !a[i].Empty() {
			rest = append(rest, a[i])
		}
	}
	for j := range b {
		var less []Box
		for i := range rest {
			less = append(less, rest[i].Subtract(&b[j])...)
		}
		rest = less
	}
	return rest
}

// ComplementBoxes returns all packets that are in none of the boxes.
func ComplementBoxes(boxes []Box) []Box { return SubtractBoxes([]Box{{}}, boxes) }

// Witness returns a packet of the box, that with the smallest words, and whether there is one.
func (b *Box) Witness(f Family) (Packet, bool) {
	p := Packet{Family: f}
	if b.Empty() {
		return p, false
	}
	for w, s := range b {
		if s != nil {
			p.Words[w] = s[0].Lo
		}
	}
	return p, true
}
