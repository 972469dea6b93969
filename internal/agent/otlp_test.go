// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// The tests below look at what a receiver of OTLP gets, read with the Collector's own
// decoder, and at nothing inside.

// node is a span with its children in order of time.
type node struct {
	ptrace.Span
	// service is the namespace's role, lab the topology that it is part of.
	service, lab string
	children     []*node
}

// attr returns an attribute as text, "" if the span has none of that name.
func (n *node) attr(key string) string { return text(n.Attributes(), key) }

func text(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func (n *node) dwell() int64 {
	v, _ := n.Attributes().Get(trace.AttrDwellNS)
	return v.Int()
}

// all returns the span and those below it, a parent before its children.
func (n *node) all() []*node {
	out := []*node{n}
	for _, c := range n.children {
		out = append(out, c.all()...)
	}
	return out
}

// leaves returns the spans below n that have no children.
func (n *node) leaves() []*node {
	var out []*node
	for _, m := range n.all()[1:] {
		if len(m.children) == 0 {
			out = append(out, m)
		}
	}
	return out
}

// events returns the span's events of one name.
func (n *node) events(name string) []ptrace.SpanEvent {
	var out []ptrace.SpanEvent
	for _, e := range n.Events().All() {
		if e.Name() == name {
			out = append(out, e)
		}
	}
	return out
}

// journey returns the child of the root that is a journey in that direction, or nil.
func (n *node) journey(direction string) *node {
	for _, c := range n.children {
		if c.attr(trace.AttrKind) == "echo "+direction {
			return c
		}
	}
	return nil
}

// String draws the tree: each span with its service, in the depth where it is.
func (n *node) String() string { return n.draw("") }

func (n *node) draw(indent string) string {
	out := fmt.Sprintf("%s%s @%s\n", indent, n.Name(), n.service)
	for _, c := range n.children {
		out += c.draw(indent + "  ")
	}
	return out
}

// exported runs an agent while do pings in the labs, and returns the roots of the
// traces that it wrote, in order of time. With Options.Count it runs until so many are
// finished, otherwise until do returns.
func exported(t *testing.T, labs []*lab.Lab, opts agent.Options, do func()) ([]*node, agent.Summary) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "traces.jsonl")
	out, err := otlpfile.New(otlpfile.Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	opts.OnTrace = func(tr *trace.Trace) {
		if err := out.Export(t.Context(), []*trace.Trace{tr}); err != nil {
			t.Error(err)
		}
	}
	for _, l := range labs {
		opts.Filter.NetNS = append(opts.Filter.NetNS, inodes(l)...)
		opts.Hypervisors = append(opts.Hypervisors, inodes(l, lab.Hypervisor)...)
	}
	sum := run(t, opts, do)
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return read(t, file, labs), sum
}

// run runs an agent while do pings, however long that takes.
func run(t *testing.T, opts agent.Options, do func()) agent.Summary {
	t.Helper()
	if opts.Timeout == 0 {
		opts.Timeout = unhurried
	}
	a, err := start(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		agent.Summary
		error
	}
	done := make(chan result, 1)
	go func() {
		s, err := a.Run(ctx)
		done <- result{s, err}
	}()
	do()
	if opts.Count == 0 {
		cancel()
	}
	defer time.AfterFunc(unhurried, cancel).Stop()
	r := <-done
	if r.error != nil {
		t.Error(r.error)
	}
	if opts.Count > 0 && r.Pings() < opts.Count {
		t.Errorf("%d traces did not come: %s", opts.Count-r.Pings(), r.Summary)
	}
	return r.Summary
}

// read reads an OTLP file.
func read(t *testing.T, file string, labs []*lab.Lab) []*node {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var roots []*node
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, tree(t, nodes(td, labs)))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(roots, byStart)
	return roots
}

// nodes returns the spans of one message without their relations, and without what the
// names of the labs' namespaces begin with.
func nodes(td ptrace.Traces, labs []*lab.Lab) []*node {
	var out []*node
	for _, rs := range td.ResourceSpans().All() {
		service, topology := text(rs.Resource().Attributes(), trace.AttrServiceName), ""
		for _, l := range labs {
			if role, ok := strings.CutPrefix(service, prefix(l)); ok && !strings.Contains(role, "-") {
				service, topology = role, l.Topology().Name
			}
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				for _, l := range labs {
					s.SetName(strings.ReplaceAll(s.Name(), prefix(l), ""))
				}
				out = append(out, &node{Span: s, service: service, lab: topology})
			}
		}
	}
	return out
}

// prefix is what the names of a lab's namespaces begin with.
func prefix(l *lab.Lab) string {
	_, guest := l.NetNS(lab.Guest)
	return strings.TrimSuffix(guest, lab.Guest)
}

// tree hangs every span below its parent and returns the root, of which there must be
// one.
func tree(t *testing.T, spans []*node) *node {
	t.Helper()
	byID := map[pcommon.SpanID]*node{}
	for _, s := range spans {
		if byID[s.SpanID()] != nil {
			t.Fatalf("two spans have the ID %s", s.SpanID())
		}
		byID[s.SpanID()] = s
	}
	var root *node
	for _, s := range spans {
		switch parent := byID[s.ParentSpanID()]; {
		case parent != nil:
			parent.children = append(parent.children, s)
		case root != nil:
			t.Fatalf("%q has no parent in its trace", s.Name())
		default:
			root = s // or, of a ping that was sent elsewhere, below a root that is there
		}
	}
	if root == nil {
		t.Fatal("a trace without a root")
	}
	for _, s := range spans {
		slices.SortStableFunc(s.children, byStart)
	}
	return root
}

func byStart(a, b *node) int {
	return cmp.Or(cmp.Compare(a.StartTimestamp(), b.StartTimestamp()), cmp.Compare(a.EndTimestamp(), b.EndTimestamp()))
}

// checkTiling holds a trace against the model's first rule: the leaves tile each
// journey, any span's children tile it, and each says its own duration.
func checkTiling(t *testing.T, root *node) {
	t.Helper()
	for _, s := range root.all() {
		if got := int64(s.EndTimestamp()) - int64(s.StartTimestamp()); got < 0 || s.dwell() != got {
			t.Errorf("%s: lasts %d ns and says %d", s.Name(), got, s.dwell())
		}
		for _, e := range s.Events().All() {
			if e.Timestamp() < s.StartTimestamp() || e.Timestamp() > s.EndTimestamp() {
				t.Errorf("%s: event %s is outside of it", s.Name(), e.Name())
			}
		}
		if s != root && len(s.children) > 0 {
			checkTiled(t, s, s.children)
		}
	}
	for _, direction := range []string{"request", "reply"} {
		if j := root.journey(direction); j != nil && j.dwell() > 0 {
			checkTiled(t, j, j.leaves())
		}
	}
	if root.attr(trace.AttrOutcome) == trace.Complete.String() {
		checkTiled(t, root, root.children)
	}
}

func checkTiled(t *testing.T, whole *node, parts []*node) {
	t.Helper()
	at, sum := whole.StartTimestamp(), int64(0)
	for _, p := range parts {
		if p.StartTimestamp() != at {
			t.Errorf("%s: %d ns between %s and what was before", whole.Name(), int64(p.StartTimestamp())-int64(at), p.Name())
		}
		at = p.EndTimestamp()
		sum += p.dwell()
	}
	if len(parts) == 0 || at != whole.EndTimestamp() || sum != whole.dwell() {
		t.Errorf("%s: its %d parts make %d ns of %d in\n%s", whole.Name(), len(parts), sum, whole.dwell(), whole)
	}
}
