// SPDX-License-Identifier: Apache-2.0

package monitor

import "time"

// The window is what figures are about: the last minute.
const (
	windowSeconds = 60
	// slotSeconds is how much falls out of the window at once.
	slotSeconds = 10
	slots       = windowSeconds / slotSeconds
)

// window holds the durations of the last minute.
type window struct {
	slots   [slots]slot
	seconds [windowSeconds]second
}

// slot is ten seconds of a window. Its histogram is made when the first duration comes.
type slot struct {
	number int64
	hist   *histogram
	max    int64
}

// second is one of them, for the curve.
type second struct {
	number int64
	n      uint32
	sum    int64
}

// add counts a duration that was measured at a time, unless that is over a minute before another.
func (w *window) add(at time.Time, ns int64) {
	unix := at.Unix()
	w.seconds[mod(unix, windowSeconds)].add(unix, 1, ns)
	s := &w.slots[mod(unix/slotSeconds, slots)]
	if unix/slotSeconds < s.number {
		return // its place belongs to a later time already
	}
	if number := unix / slotSeconds; s.number != number || s.hist == nil {
		if s.hist == nil {
			s.hist = &histogram{}
		} else {
			*s.hist = histogram{}
		}
		s.number, s.max = number, 0
	}
	s.hist.add(ns)
	s.max = max(s.max, ns)
}

// add counts n in the second that is number, unless the place belongs to a later one already.
func (s *second) add(number int64, n uint32, sum int64) {
	if number < s.number {
		return
	}
	if number > s.number {
		*s = second{number: number}
	}
	s.n += n
	s.sum += sum
}

func mod(a, n int64) int { return int(((a % n) + n) % n) }

// figures are what a window comes to. The durations are in nanoseconds.
type figures struct {
	n             uint64
	p50, p99, max int64
}

func (w *window) figures(now time.Time) figures {
	var all histogram
	var f figures
	for i := range w.slots {
		s := &w.slots[i]
		if s.hist != nil && now.Unix()/slotSeconds-s.number < slots {
			all.merge(s.hist)
			f.max = max(f.max, s.max)
		}
	}
	f.n, f.p50, f.p99 = all.n, min(all.quantile(0.5), f.max), min(all.quantile(0.99), f.max)
	return f
}

// means returns the mean duration in each of n equal parts of the minute, the oldest first;
// -1 where there was none.
func (w *window) means(now time.Time, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = -1
		var count, sum int64
		for back := (n - 1 - i) * windowSeconds / n; back < (n-i)*windowSeconds/n; back++ {
			number := now.Unix() - int64(back)
			if s := w.seconds[mod(number, windowSeconds)]; s.number == number {
				count, sum = count+int64(s.n), sum+s.sum
			}
		}
		if count > 0 {
			out[i] = sum / count
		}
	}
	return out
}

// clone returns a copy that does not change when w does.
func (w *window) clone() window {
	c := *w
	for i := range c.slots {
		if h := c.slots[i].hist; h != nil {
			own := *h
			c.slots[i].hist = &own
		}
	}
	return c
}

// rateSeconds is over how many whole seconds a rate is taken.
const rateSeconds = 5

// meter counts per second.
type meter struct {
	seconds [windowSeconds]second
	// first is the second in which counting began, 0 before.
	first int64
}

func (m *meter) add(at time.Time, n uint64) {
	if m.first == 0 || at.Unix() < m.first {
		m.first = at.Unix()
	}
	m.seconds[mod(at.Unix(), windowSeconds)].add(at.Unix(), uint32(n), 0)
}

// rate returns how many there were per second in the last whole seconds since counting began.
func (m *meter) rate(now time.Time) float64 {
	var n uint64
	whole := max(1, min(rateSeconds, now.Unix()-m.first))
	for back := int64(1); back <= whole; back++ {
		if s := m.seconds[mod(now.Unix()-back, windowSeconds)]; s.number == now.Unix()-back {
			n += uint64(s.n)
		}
	}
	return float64(n) / float64(whole)
}
