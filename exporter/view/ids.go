// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// leftOut is the origin of a span that stands for what is left out.
const leftOut = -1

// identify gives spans IDs in which there is nothing of what is left out. An ID is a hash of the
// span's place in its journey, under a key that need not be a secret: so it tells how many spans
// there are before it. Those before which nothing is left out keep theirs.
func (b *builder) identify() {
	t := b.out
	nth, others := map[trace.Kind]int{}, b.journeysBefore()
	for i := 1; i < len(t.Spans); i = t.After(i) {
		s := &t.Spans[i]
		if !s.Kind.Journey() {
			if b.origin[i] == leftOut {
				s.ID = hash("beyond", t.Root().ID, uint64(s.Start))
			}
			continue
		}
		n := nth[s.Kind]
		nth[s.Kind]++
		if n != others[b.origin[i]] {
			s.ID = hash(s.Kind.String(), t.Root().ID, uint64(s.Start))
		}
		if s.Title != "" {
			s.Title = title(s.Kind, n)
		}
		b.identifyBelow(i)
	}
}

// journeysBefore returns how many journeys of the same kind there are in the original before
// each, by index.
func (b *builder) journeysBefore() map[int]int {
	nth, before := map[trace.Kind]int{}, map[int]int{}
	for i := 1; i < len(b.from.Spans); i = b.from.After(i) {
		kind := b.from.Spans[i].Kind
		before[i] = nth[kind]
		nth[kind]++
	}
	return before
}

// title returns that of the nth journey of a kind, as the correlator gives it.
func title(kind trace.Kind, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s (duplicate %d)", kind, n)
}

// identifyBelow gives IDs to the spans of the journey at index j of the view.
func (b *builder) identifyBelow(j int) {
	t, from := b.out, b.origin[j]
	same := t.Spans[j].ID == b.from.Spans[from].ID && b.startsVisibly(from)
	for i, end := j+1, t.After(j); i < end; i++ {
		if same = same && b.origin[i]-from == i-j; !same {
			t.Spans[i].ID = hash("span", t.Spans[j].ID, uint64(i-j))
		}
	}
}

// hash derives a span ID from what is visible: the same whenever the same view is made. It is
// FNV-1a (Fowler, Noll, Vo).
func hash(domain string, id trace.SpanID, n uint64) (out trace.SpanID) {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(append([]byte(domain), id[:]...), n)) // never fails
	binary.BigEndian.PutUint64(out[:], h.Sum64())
	return out
}
