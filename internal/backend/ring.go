// SPDX-License-Identifier: Apache-2.0

package backend

// ring holds the last values that were added. It grows as they come, up to its limit.
type ring[T any] struct {
	list []T
	// first is the oldest of n.
	first, n int
}

// push adds a value, and drops the oldest ones until there are at most limit, which is at
// least 1.
func (r *ring[T]) push(v T, limit int) {
	for r.n >= limit {
		r.drop()
	}
	if r.n == len(r.list) {
		r.grow(limit)
	}
	r.list[(r.first+r.n)%len(r.list)] = v
	r.n++
}

func (r *ring[T]) grow(limit int) {
	bigger := make([]T, min(max(4, 2*len(r.list)), max(limit, r.n+1)))
	for i := range r.n {
		bigger[i] = *r.at(i)
	}
	r.list, r.first = bigger, 0
}

// drop removes the oldest value and returns it; there must be one.
func (r *ring[T]) drop() T {
	var none T
	v := r.list[r.first]
	r.list[r.first] = none
	r.first = (r.first + 1) % len(r.list)
	r.n--
	return v
}

// at returns the value with the index i, counted from the oldest.
func (r *ring[T]) at(i int) *T { return &r.list[(r.first+i)%len(r.list)] }

// last returns copies of up to n values, the oldest first.
func (r *ring[T]) last(n int) []T {
	n = min(n, r.n)
	out := make([]T, 0, n)
	for i := r.n - n; i < r.n; i++ {
		out = append(out, *r.at(i))
	}
	return out
}
