// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// step is a span as a row sees it.
type step struct {
	direction string
	path      string
	depth     int
	whole     bool // the journey itself
	span      *trace.Span
}

// steps returns the spans of a trace below its root, in order: journeys, and what
// they are made of. Duplicate replies are no part of the way there and back, and
// left out. name names a span.
func steps(t *trace.Trace, name func(*trace.Span) string) []step {
	root := t.Root().ID
	known := map[trace.SpanID]step{}
	seen := map[string]int{}
	var out []step
	for i := 1; i < len(t.Spans); i++ {
		s := &t.Spans[i]
		var st step
		if s.Parent == root {
			st = below(s, name)
		} else if parent, ok := known[s.Parent]; ok {
			st = step{direction: parent.direction, depth: parent.depth + 1, path: parent.path + "/" + name(s), span: s}
		} else {
			continue // below a duplicate
		}
		if st.whole && seen[st.path] > 0 {
			continue
		}
		if seen[st.path]++; seen[st.path] > 1 {
			st.path += "#" + strconv.Itoa(seen[st.path])
		}
		known[s.ID] = st
		out = append(out, st)
	}
	return out
}

// below places a child of the root. Parts of a journey have depth 0, so the journey
// has -1.
func below(s *trace.Span, name func(*trace.Span) string) step {
	switch s.Kind {
	case trace.KindRequest:
		return step{direction: Request, path: Request, depth: -1, whole: true, span: s}
	case trace.KindReply:
		return step{direction: Reply, path: Reply, depth: -1, whole: true, span: s}
	}
	return step{direction: Between, path: Between + "/" + name(s), span: s}
}
