// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"embed"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// committed holds the results by kernel.
//
//go:embed testdata/*.json
var committed embed.FS

// verdict sums a road up.
func (j *judge) verdict() (Verdict, []string) {
	switch {
	case len(j.faults) > 0:
		return Wrong, nil
	case len(j.unseen) > 0:
		return Unseen, slices.Sorted(maps.Keys(j.unseen))
	case len(j.partly) > 0:
		return Partly, slices.Sorted(maps.Keys(j.partly))
	}
	return Followed, nil
}

// kernelVersion returns the running kernel's, without the patch level.
func kernelVersion() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	release := unix.ByteSliceToString(name.Release[:])
	major, rest, _ := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	return major + "." + rest[:end]
}

// kernelSince reports whether the running kernel is of a version or a later one.
func kernelSince(version string) bool { return compareVersions(kernelVersion(), version) >= 0 }

// compare holds the results against the committed ones of this kernel.
func (r Results) compare(t *testing.T) {
	t.Helper()
	r.Kernel = kernelVersion()
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if *resultsFile != "" {
		if err := os.WriteFile(strings.ReplaceAll(*resultsFile, "{kernel}", r.Kernel), b, 0o644); err != nil {
			t.Error(err)
		}
	}
	all, err := Load(committed, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(o Results) bool { return o.Kernel == r.Kernel })
	if i < 0 {
		t.Logf("no results of Linux %s are committed; those of this run are:\n%s", r.Kernel, b)
		return
	}
	var want []Result
	for _, o := range all[i].Roads {
		if *onlyRoads == "" || slices.ContainsFunc(r.Roads, func(x Result) bool { return x.Name == o.Name }) {
			want = append(want, o)
		}
	}
	if diff := cmp.Diff(want, r.Roads); diff != "" {
		t.Errorf("not as committed in testdata/%s.json (-committed +this run):\n%s", r.Kernel, diff)
	}
}

// TestPage holds the page against the results that it is made from.
func TestPage(t *testing.T) {
	page := filepath.Join("..", "..", "..", "docs", "roads.md")
	got, err := os.ReadFile(page)
	if os.IsNotExist(err) && os.Getenv("DWELL_NO_SOURCE") != "" {
		return // a compiled test on another machine
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := Load(committed, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Page(all), string(got)); diff != "" {
		t.Errorf("docs/roads.md is not what go generate makes (-want +got):\n%s", diff)
	}
}

// TestCommittedResults fails for results that no road may have, and for those of a table
// that has changed since.
func TestCommittedResults(t *testing.T) {
	all, err := Load(committed, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range roads() {
		names = append(names, r.name+": "+r.what)
	}
	for _, r := range all {
		var have []string
		for _, o := range r.Roads {
			have = append(have, o.Name+": "+o.What)
			if o.Verdict == Wrong {
				t.Errorf("Linux %s: %s is wrong", r.Kernel, o.Name)
			}
		}
		if diff := cmp.Diff(names, have); diff != "" {
			t.Errorf("the results of Linux %s are not those of the table (-table +results); run the tests there again:\n%s", r.Kernel, diff)
		}
	}
}
