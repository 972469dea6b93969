// SPDX-License-Identifier: Apache-2.0

package alerttest

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// Shorten returns the rules at a pace that is faster by factor, for a test that
// cannot wait. It divides durations and nothing else: how often a group is evaluated,
// how long an alert is pending or kept, and in expressions the ranges in brackets and
// the offsets. Thresholds, floors and labels stay as they are, and so does what an
// expression says in plain seconds.
func (f File) Shorten(factor int) (File, error) {
	s := shortener{factor: factor}
	out := File{Groups: slices.Clone(f.Groups)}
	for i := range out.Groups {
		g := &out.Groups[i]
		g.Interval = s.duration(g.Interval)
		g.Rules = slices.Clone(g.Rules)
		for j := range g.Rules {
			r := &g.Rules[j]
			r.Expr = s.expr(r.Expr)
			r.For = s.duration(r.For)
			r.KeepFiringFor = s.duration(r.KeepFiringFor)
		}
	}
	return out, s.err
}

// shortener keeps the first error.
type shortener struct {
	factor int
	err    error
}

// duration shortens one; "" stays.
func (s *shortener) duration(text string) string {
	if text == "" {
		return ""
	}
	d, err := model.ParseDuration(text)
	if err == nil && time.Duration(d)%(time.Duration(s.factor)*time.Millisecond) != 0 {
		err = fmt.Errorf("%s cannot be divided by %d: a millisecond is the smallest duration", text, s.factor)
	}
	if err != nil && s.err == nil {
		s.err = err
	}
	return (d / model.Duration(s.factor)).String()
}

var (
	// timed are the places of an expression in which durations stand.
	timed    = regexp.MustCompile(`\[[^]]*\]|\boffset\s+-?\w+`)
	duration = regexp.MustCompile(`\b(\d+(ms|[smhdwy]))+\b`)
)

func (s *shortener) expr(text string) string {
	return timed.ReplaceAllStringFunc(text, func(place string) string {
		return duration.ReplaceAllStringFunc(place, s.duration)
	})
}
