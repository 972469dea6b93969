// SPDX-License-Identifier: Apache-2.0

package loss_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/loss"
)

// each returns counts in which each field has another value, the first 1.
func each() loss.Counts {
	var c loss.Counts
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetUint(uint64(i) + 1)
	}
	return c
}

func TestEachFieldHasOneRow(t *testing.T) {
	c := each()
	rows := map[uint64]int{}
	for _, l := range loss.Table() {
		rows[*l.Of(&c)]++
	}
	fields := reflect.TypeFor[loss.Counts]()
	for i := range fields.NumField() {
		if n := rows[uint64(i)+1]; n != 1 {
			t.Errorf("%s has %d rows, want 1", fields.Field(i).Name, n)
		}
	}
}

func TestRowsAreCompleteAndDifferent(t *testing.T) {
	metrics, sentences := map[string]bool{}, map[string]bool{}
	for _, l := range loss.Table() {
		v := reflect.ValueOf(l)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%q has no %s", l.Metric, v.Type().Field(i).Name)
			}
		}
		if metrics[l.Metric] || sentences[l.Sentence] {
			t.Errorf("%q (%s) is there twice", l.Metric, l.Sentence)
		}
		metrics[l.Metric], sentences[l.Sentence] = true, true
	}
}

func TestSince(t *testing.T) {
	before, now := each(), each()
	now.Malformed += 5
	now.Evicted += 7
	if diff := cmp.Diff(loss.Counts{Malformed: 5, Evicted: 7}, now.Since(before)); diff != "" {
		t.Errorf("what was lost since (-want +got):\n%s", diff)
	}
}

func TestText(t *testing.T) {
	if s := (loss.Counts{}).String(); s != "" {
		t.Errorf("nothing lost is %q", s)
	}
	got := loss.Counts{Evicted: 3, RingFull: 2}
	const want = "2 events lost because the ring buffer was full; 3 pings evicted because too many were open"
	if s := got.String(); s != want {
		t.Errorf("%q, want %q", s, want)
	}
	advice := got.Advice()
	if len(advice) != 2 || !strings.HasPrefix(advice[0], "2 events lost because the ring buffer was full. Enlarge the ring buffer (--ring-size, ") {
		t.Errorf("advice %q", advice)
	}
}
