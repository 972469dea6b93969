// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"bufio"
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
)

// span is one of an OTLP file, https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/.
type span struct {
	trace, id, parent string
	name              string
	start, end        int64
	// netns is the name and inode number of the namespace, host the host's ID.
	netns, inode, host string
	attrs              map[string]string
	events             []spanEvent
	children           []*span
}

type spanEvent struct {
	name  string
	attrs map[string]string
}

// kind is dwell.kind.
func (s *span) kind() string { return s.attrs["dwell.kind"] }

// journey reports whether the span is one packet's way.
func (s *span) journey() bool { return s.kind() == "echo request" || s.kind() == "echo reply" }

// jsonFile is one line of an OTLP file.
type jsonFile struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes jsonAttrs }
		ScopeSpans []struct {
			Spans []struct {
				TraceID, SpanID, ParentSpanID, Name string
				StartTimeUnixNano, EndTimeUnixNano  string
				Attributes                          jsonAttrs
				Events                              []struct {
					Name       string
					Attributes jsonAttrs
				}
			}
		}
	}
}

type jsonAttrs []struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    *string
		BoolValue   *bool
	}
}

func (a jsonAttrs) byKey() map[string]string {
	m := map[string]string{}
	for _, kv := range a {
		switch {
		case kv.Value.StringValue != nil:
			m[kv.Key] = *kv.Value.StringValue
		case kv.Value.IntValue != nil:
			m[kv.Key] = *kv.Value.IntValue
		case kv.Value.BoolValue != nil:
			m[kv.Key] = strconv.FormatBool(*kv.Value.BoolValue)
		}
	}
	return m
}

// readSpans reads the spans of a file.
func readSpans(path string) ([]*span, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	var all []*span
	for lines.Scan() {
		var file jsonFile
		if err := json.Unmarshal(lines.Bytes(), &file); err != nil {
			return nil, err
		}
		spans, err := file.spans()
		if err != nil {
			return nil, err
		}
		all = append(all, spans...)
	}
	return all, lines.Err()
}

func (file *jsonFile) spans() (all []*span, err error) {
	for _, rs := range file.ResourceSpans {
		res := rs.Resource.Attributes.byKey()
		for _, ss := range rs.ScopeSpans {
			for _, j := range ss.Spans {
				s := &span{
					trace: j.TraceID, id: j.SpanID, parent: j.ParentSpanID, name: j.Name,
					netns: res["dwell.netns.name"], inode: res["dwell.netns.inode"], host: res["host.id"],
					attrs: j.Attributes.byKey(),
				}
				if s.start, err = strconv.ParseInt(j.StartTimeUnixNano, 10, 64); err != nil {
					return nil, err
				}
				if s.end, err = strconv.ParseInt(j.EndTimeUnixNano, 10, 64); err != nil {
					return nil, err
				}
				for _, e := range j.Events {
					s.events = append(s.events, spanEvent{e.Name, e.Attributes.byKey()})
				}
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// tree is one trace as it is in the file.
type tree struct {
	id     string
	spans  []*span
	roots  []*span
	faults []string
}

// trees groups spans into traces and checks what holds of every trace.
func trees(spans []*span) []*tree {
	byID := map[string]*tree{}
	var all []*tree
	for _, s := range spans {
		t := byID[s.trace]
		if t == nil {
			t = &tree{id: s.trace}
			byID[s.trace] = t
			all = append(all, t)
		}
		t.spans = append(t.spans, s)
	}
	for _, t := range all {
		t.connect()
		t.check()
	}
	return all
}

func (t *tree) fault(parts ...string) { t.faults = append(t.faults, strings.Join(parts, " ")) }

// connect finds roots and children.
func (t *tree) connect() {
	byID := map[string]*span{}
	for _, s := range t.spans {
		if byID[s.id] != nil {
			t.fault("two spans have the ID", s.id)
		}
		byID[s.id] = s
	}
	for _, s := range t.spans {
		if p := byID[s.parent]; p != nil {
			p.children = append(p.children, s)
		} else {
			t.roots = append(t.roots, s)
		}
	}
	for _, s := range t.spans {
		slices.SortStableFunc(s.children, func(a, b *span) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
		})
	}
}

// check finds what is wrong with any trace: more than one root, children outside their
// parents, journeys that are not tiled by their leaves to the nanosecond.
func (t *tree) check() {
	if len(t.roots) != 1 {
		t.fault(strconv.Itoa(len(t.roots)), "roots")
	}
	for _, s := range t.spans {
		if s.end < s.start {
			t.fault(s.name, "ends before it begins")
		}
		if ns := s.attrs["dwell.ns"]; ns != strconv.FormatInt(s.end-s.start, 10) {
			t.fault(s.name, "has dwell.ns", ns)
		}
		for _, c := range s.children {
			if c.start < s.start || c.end > s.end {
				t.fault(c.name, "is not within", s.name)
			}
		}
		if s.journey() {
			t.checkTiling(s)
		}
	}
}

func (t *tree) checkTiling(journey *span) {
	at := journey.start
	for _, l := range journey.leaves(nil) {
		if l == journey {
			return // a single event
		}
		if l.start != at {
			t.fault("between", l.name, "and what is before it there is a gap or they overlap")
		}
		at = l.end
	}
	if at != journey.end {
		t.fault(journey.name, "does not end with its last leaf")
	}
}

func (s *span) leaves(to []*span) []*span {
	if len(s.children) == 0 {
		return append(to, s)
	}
	for _, c := range s.children {
		to = c.leaves(to)
	}
	return to
}
