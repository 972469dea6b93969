// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// step is a span as a row sees it.
type step struct {
	path string
	span *trace.Span
}

// steps returns the spans of a trace below its root, in order: journeys, and what
// they are made of. Duplicate replies are not part of the way there and back, and left
// out. name names a span.
func steps(t *trace.Trace, name func(*trace.Span) string) []step {
	var out []step
	seen := map[string]int{}
	paths := make([]string, len(t.Spans)) // of the spans so far, "" if left out
	for i := 1; i < len(t.Spans); i++ {
		s := &t.Spans[i]
		path := pathOf(s, paths, name)
		if path == "" || s.Kind.Journey() && seen[path] > 0 {
			continue // a duplicate, or part of one
		}
		if seen[path]++; seen[path] > 1 {
			path += "#" + strconv.Itoa(seen[path])
		}
		paths[i] = path
		out = append(out, step{path: path, span: s})
	}
	return out
}

// pathOf returns the path of a span, of whose parent it is known, or "" if the parent is
// left out.
func pathOf(s *trace.Span, paths []string, name func(*trace.Span) string) string {
	switch {
	case s.Kind.Journey():
		return directionOf(s)
	case s.Parent == 0:
		return Between + "/" + name(s)
	case paths[s.Parent] == "":
		return ""
	}
	return paths[s.Parent] + "/" + name(s)
}

// directionOf returns the direction of the rows of a span.
func directionOf(s *trace.Span) string {
	switch s.Direction {
	case trace.Request:
		return Request
	case trace.Reply:
		return Reply
	}
	return Between
}
