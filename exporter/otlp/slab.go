// SPDX-License-Identifier: Apache-2.0

package otlp

import commonpb "go.opentelemetry.io/proto/otlp/common/v1"

// slab hands out zero values from arrays that it allocates many at a time: one
// allocation a message would cost more than all the rest of the work.
type slab[T any] struct {
	free []T
	// chunk is how many are allocated at a time.
	chunk int
}

func (s *slab[T]) next() *T {
	if len(s.free) == 0 {
		s.free = make([]T, max(s.chunk, 1))
	}
	p := &s.free[0]
	s.free = s.free[1:]
	return p
}

// list returns an empty slice to append to, with room for n elements.
// The caller must give back what it used with keep before it takes another.
func (s *slab[T]) list(n int) []T {
	if len(s.free) < n {
		s.free = make([]T, max(s.chunk, n))
	}
	return s.free[:0:n]
}

// keep takes the elements of a list out of the slab.
func (s *slab[T]) keep(list []T) []T {
	s.free = s.free[len(list):]
	return list[:len(list):len(list)]
}

// intAttr is the three messages of an integer attribute side by side.
type intAttr struct {
	kv    commonpb.KeyValue
	any   commonpb.AnyValue
	value commonpb.AnyValue_IntValue
}

func (a *intAttr) set(key string, value int64) *commonpb.KeyValue {
	a.value.IntValue = value
	a.any.Value = &a.value
	a.kv.Key, a.kv.Value = key, &a.any
	return &a.kv
}
