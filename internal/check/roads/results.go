// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Verdict says what became of the pings along a road.
type Verdict string

// The verdicts. Whatever it is, the traces are right; a road whose traces are wrong has no
// verdict that may be committed.
const (
	// Followed: the traces show the whole way.
	Followed Verdict = "followed"
	// Partly: the traces show the way but for a stretch, which has a span that says how it
	// was bridged: by a tunnel whose packets cannot be read.
	Partly Verdict = "partly"
	// Unseen: the traces say that a stretch was not seen, or are incomplete.
	Unseen Verdict = "said to be unseen"
	// Absent: the kernel lacks what the road needs.
	Absent Verdict = "absent"
	// Wrong: the traces are wrong, or the road could not be built.
	Wrong Verdict = "wrong"
)

// Result is what became of one road on one kernel.
type Result struct {
	Name string `json:"name"`
	// What a ping passes, on one line.
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	// Said is the stretches that the traces say were not followed.
	Said []string `json:"said,omitempty"`
}

// Results are those of a run on one kernel, in the order of the table of roads.
type Results struct {
	// Kernel is the version, such as "6.18".
	Kernel string   `json:"kernel"`
	Roads  []Result `json:"roads"`
}

// JSON returns the results as they are committed.
func (r Results) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "\t")
	return append(b, '\n'), err
}

// Load reads the results of all kernels, oldest kernel first, from the .json files in a
// directory.
func Load(fsys fs.FS, dir string) ([]Results, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Results
	var errs []error
	for _, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		var r Results
		if err := json.Unmarshal(b, &r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Results) int { return compareVersions(a.Kernel, b.Kernel) })
	return all, errors.Join(errs...)
}

func compareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(x, y, func(a, b string) int {
		n, _ := strconv.Atoi(a)
		m, _ := strconv.Atoi(b)
		return cmp.Compare(n, m)
	})
}

// pageHead is what the page says above its table.
const pageHead = `# Roads

What dwell makes of a ping on each kind of road that a packet can take, on each kernel on which the tests run. This page is
generated from the results of those tests (` + "`internal/check/roads`" + `): the tests build each road out of network namespaces, send
pings along it, and judge the traces from the OTLP file. A road is *followed* if the traces show the whole way. It is *partly*
followed if a stretch has only one span, which says that the packet was inside a tunnel whose packets cannot be read. It is *said
to be unseen* if the traces say that a stretch was not seen. A dash means that the kernel of that test lacks what the road needs,
or that the road is only tested on a real machine (6.1 and 6.12 are emulated).

`

// Page returns the page that shows the results.
func Page(all []Results) string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString("| road | what a ping passes |")
	for _, r := range all {
		fmt.Fprintf(&b, " %s |", r.Kernel)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(all)) + "\n")
	for _, road := range union(all) {
		fmt.Fprintf(&b, "| %s | %s |", road.Name, road.What)
		for _, r := range all {
			b.WriteString(" " + r.cell(road.Name) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// union lists the roads of all kernels: those of the newest, then what only others have.
func union(all []Results) []Result {
	var out []Result
	for _, r := range slices.Backward(all) {
		for _, road := range r.Roads {
			if !slices.ContainsFunc(out, func(o Result) bool { return o.Name == road.Name }) {
				out = append(out, road)
			}
		}
	}
	return out
}

func (r Results) cell(name string) string {
	i := slices.IndexFunc(r.Roads, func(o Result) bool { return o.Name == name })
	if i < 0 {
		return "?"
	}
	switch road := r.Roads[i]; {
	case road.Verdict == Absent:
		return "–"
	case len(road.Said) > 0:
		return string(road.Verdict) + ": " + strings.Join(road.Said, ", ")
	default:
		return string(road.Verdict)
	}
}
