// SPDX-License-Identifier: Apache-2.0

package header

import (
	"math"
	"slices"
)

// Range returns the values from lo to hi, both included; none if lo is greater than hi.
func Range(lo, hi uint32) Set {
	if lo > hi {
		return Set{}
	}
	return Set{{lo, hi}}
}

// Values returns the set of these values, in any order.
func Values(values ...uint32) Set {
	of := make([]Interval, len(values))
	for i, v := range values {
		of[i] = Interval{v, v}
	}
	return SetOf(of...)
}

// SetOf returns the union of intervals, which may overlap and be in any order. Those whose Lo is
// greater than their Hi have no values.
func SetOf(intervals ...Interval) Set {
	sorted := slices.Clone(intervals)
	slices.SortFunc(sorted, func(a, b Interval) int {
		if a.Lo < b.Lo {
			return -1
		}
		if a.Lo > b.Lo {
			return 1
		}
		return 0
	})
	set := make(Set, 0, len(sorted))
	for _, i := range sorted {
		if i.Lo > i.Hi {
			continue
		}
		last := len(set) - 1
		if last >= 0 && (set[last].Hi == math.MaxUint32 || i.Lo <= set[last].Hi+1) {
			set[last].Hi = max(set[last].Hi, i.Hi)
			continue
		}
		set = append(set, i)
	}
	return set
}

// Masked returns the values up to limit whose bits of mask are those of value. It is false if
// these are more than most intervals: a mask with holes has many.
func Masked(value, mask, limit uint32, most int) (Set, bool) {
	if value&^mask != 0 {
		return Set{}, true
	}
	// The bits below the lowest of the mask are one interval, the free ones above it count through.
	low := (mask & -mask) - 1 // all bits if the mask is 0
	free := ^mask &^ low
	set := Set{}
	for bits := uint32(0); ; {
		lo := value | bits
		if lo <= limit {
			if len(set) == most {
				return nil, false
			}
			set = append(set, Interval{lo, min(lo|low, limit)})
		}
		bits = (bits - free) & free // the next subset of the free bits
		if bits == 0 || lo > limit {
			return SetOf(set...), true
		}
	}
}

// Empty reports whether the set has no values.
func (s Set) Empty() bool { return s != nil && len(s) == 0 }

// Union returns the values of either set.
func (s Set) Union(t Set) Set {
	if s == nil || t == nil {
		return nil
	}
	return SetOf(slices.Concat(s, t)...)
}

// Intersect returns the values of both sets.
func (s Set) Intersect(t Set) Set {
	if s == nil {
		return t
	}
	if t == nil {
		return s
	}
	both := make(Set, 0, max(len(s), len(t)))
	for len(s) > 0 && len(t) > 0 {
		if lo, hi := max(s[0].Lo, t[0].Lo), min(s[0].Hi, t[0].Hi); lo <= hi {
			both = append(both, Interval{lo, hi})
		}
		if s[0].Hi < t[0].Hi {
			s = s[1:]
		} else {
			t = t[1:]
		}
	}
	return both
}

// Complement returns the values up to limit that the set has not; nil if these are all.
func (s Set) Complement(limit uint32) Set {
	if s == nil {
		return Set{}
	}
	rest := make(Set, 0, len(s)+1)
	next := uint32(0)
	for _, i := range s {
		if i.Lo > limit {
			break
		}
		if i.Lo > next {
			rest = append(rest, Interval{next, i.Lo - 1})
		}
		if i.Hi >= limit {
			return rest
		}
		next = i.Hi + 1
	}
	if next == 0 {
		return nil
	}
	return append(rest, Interval{next, limit})
}

// Subtract returns the values up to limit that s has and t has not.
func (s Set) Subtract(t Set, limit uint32) Set { return s.Intersect(t.Complement(limit)) }

// Covers reports whether the set has all values up to limit.
func (s Set) Covers(limit uint32) bool {
	return s == nil || len(s) > 0 && s[0].Lo == 0 && s[0].Hi >= limit
}
