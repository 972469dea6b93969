// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"context"
	"flag"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// only names the roads to run, and resultsFile where to write what became of them.
func flags() (only, resultsFile *string) {
	return flag.String("roads", "", "comma-separated `names` of the roads to run (default: all)"),
		flag.String("results", "", "`file` to write the results to, with {kernel} in its name for the version")
}

var onlyRoads, resultsFile = flags()

// courses returns a course for each road of the table that was asked for.
func courses(t *testing.T) []*course {
	var ids atomic.Uint32
	ids.Store(uint32(os.Getpid())<<6&0x7f00 + 1)
	var all []*course
	for _, r := range roads() {
		if *onlyRoads != "" && !slices.Contains(strings.Split(*onlyRoads, ","), r.name) {
			continue
		}
		all = append(all, &course{road: &r, dir: t.TempDir(), ids: &ids})
	}
	return all
}

// TestRoads builds every road that this kernel can, pings along it and holds the traces
// against what is right, and the outcome against the committed one.
func TestRoads(t *testing.T) {
	privilegetest.BPF(t)
	all := courses(t)
	t.Cleanup(func() {
		limited(all, 4, func(c *course) {
			if c.w != nil {
				if err := c.w.down(); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
		})
	})
	limited(all, 4, func(c *course) { c.build(context.Background()) })
	var shared, own []*course
	for _, c := range all {
		switch {
		case c.err != nil:
		case c.run == nil && c.own == nil:
			shared = append(shared, c)
		default:
			own = append(own, c)
		}
	}
	if len(shared) > 0 {
		together(t, shared)
	}
	limited(own, 4, func(c *course) {
		if c.run != nil {
			c.road.run(c)
		} else {
			c.alone()
		}
	})
	var got Results
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) { got.Roads = append(got.Roads, c.report(t)) })
	}
	got.compare(t)
}

// report fails the test for what is wrong and returns the result.
func (c *course) report(t *testing.T) Result {
	r := Result{Name: c.name, What: c.what}
	switch {
	case c.absent:
		r.Verdict = Absent
		t.Log("the kernel lacks what this road needs: ", c.err)
		return r
	case c.err != nil:
		r.Verdict = Wrong
		t.Error(c.err)
		return r
	}
	for _, f := range c.judge.faults {
		t.Error(f)
	}
	t.Log(strings.Join(c.judge.shown, "\n"))
	if c.listing != "" {
		t.Log(c.listing)
	}
	r.Verdict, r.Said = c.judge.verdict()
	return r
}
