// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"container/heap"
	"time"
)

const (
	// MinIdle is for how long a series must not have been used before another may have its
	// place: what it had counted has been scraped or pushed by then.
	MinIdle = MinExpire
	// overflowRetry is for how long what is counted in the overflow is not looked at again: a
	// place may be free by then.
	overflowRetry = 5 * time.Second
)

// The orders that a series is in.
const (
	amongAll = iota
	amongOwn
	orders
)

// place is where a series is in an order.
type place struct {
	index int
	// used is what series.used was when the series was put there.
	used int64
}

// idleOrder has series in the order in which they were used last, and of those that were used at
// the same time in the order in which they were made. It is a heap in which a series that is
// used stays where it is, so that a measurement costs nothing here: it is moved when it comes up as the one that has been idle
// for longest. So finding that one takes O(log n) for each series that was used in the meantime.
type idleOrder[M any] struct {
	which int // amongAll or amongOwn
	list  []*series[M]
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (o *idleOrder[M]) Len() int { return len(o.list) }

// Less implements [heap.Interface].
func (o *idleOrder[M]) Less(i, j int) bool {
	a, b := o.list[i], o.list[j]
	if x, y := a.places[o.which].used, b.places[o.which].used; x != y {
		return x < y
	}
	return a.number < b.number
}

// Swap implements [heap.Interface].
func (o *idleOrder[M]) Swap(i, j int) {
	o.list[i], o.list[j] = o.list[j], o.list[i]
	o.list[i].places[o.which].index, o.list[j].places[o.which].index = i, j
}

// Push implements [heap.Interface].
func (o *idleOrder[M]) Push(x any) {
	s := x.(*series[M])
	s.places[o.which] = place{len(o.list), s.used}
	o.list = append(o.list, s)
}

// Pop implements [heap.Interface].
func (o *idleOrder[M]) Pop() any {
	last := len(o.list) - 1
	s := o.list[last]
	o.list[last] = nil
	o.list = o.list[:last]
	return s
}

func (o *idleOrder[M]) add(s *series[M])    { heap.Push(o, s) }
func (o *idleOrder[M]) remove(s *series[M]) { heap.Remove(o, s.places[o.which].index) }

// longest returns the series that has been idle for longest, or nil.
func (o *idleOrder[M]) longest() *series[M] {
	for len(o.list) > 0 {
		s := o.list[0]
		if s.places[o.which].used == s.used {
			return s
		}
		s.places[o.which].used = s.used
		heap.Fix(o, 0)
	}
	return nil
}

// room reports whether there may be one more series of a tenant, or of nobody. A tenant may
// not have more of them than are left for all others, so that one whose devices come and go
// in great numbers does not take every other tenant's place.
func (f *family[M]) room(tenant string) bool {
	left := f.left()
	return left > 0 && (tenant == "" || f.owned(tenant) < left)
}

// left returns for how many series there is room.
func (f *family[M]) left() int { return f.max - 1 - f.idle.Len() }

// owned returns how many series a tenant has, or nobody.
func (f *family[M]) owned(tenant string) int {
	if own := f.owners[tenant]; own != nil {
		return own.Len()
	}
	return 0
}

// displace removes the series that has been idle for longest, to make room for one of a tenant,
// or of nobody. It reports whether there is one that has been idle for long enough. Who has an
// equal share of all series, or may have no more of those that are left, displaces only series
// of its own.
func (f *family[M]) displace(tenant string, now int64) bool {
	from := &f.idle
	if own := f.owners[tenant]; own != nil && (f.left() > 0 || own.Len()*len(f.owners) >= f.max-1) {
		from = own
	}
	s := from.longest()
	if s == nil || now-s.used < int64(MinIdle) {
		return false
	}
	f.remove(s)
	f.counts.Evicted++
	return true
}
