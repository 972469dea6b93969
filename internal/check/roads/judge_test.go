// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sent is some pings that were sent along a road.
type sent struct {
	traffic
	id      uint16
	answers int
	// at is when the first was sent.
	at  time.Time
	err error
}

// ping identifies one: two may be under way with one identifier, to different hosts.
type ping struct {
	id  uint16
	seq int
	to  netip.Addr
}

// judge holds the traces of one road against what is right.
type judge struct {
	w    *world
	sent []*sent
	// traces are those of the road's pings.
	traces map[ping][]*tree
	faults []string
	// partly lists what was not seen of a way that was followed else, unseen the
	// incomplete traces that say so.
	partly, unseen map[string]bool
	// shown is the first trace of each kind of pings, for the log.
	shown []string
}

func newJudge(w *world, pings []*sent) *judge {
	return &judge{w: w, sent: pings, traces: map[ping][]*tree{}, partly: map[string]bool{}, unseen: map[string]bool{}}
}

// fault notes what is wrong, once for all pings of which it is.
func (j *judge) fault(format string, args ...any) {
	s := sequence.ReplaceAllString(fmt.Sprintf(format, args...), "")
	if !slices.Contains(j.faults, s) {
		j.faults = append(j.faults, s)
	}
}

var sequence = regexp.MustCompile(` seq \d+`)

// clockSlack is how much two readings of the wall clock may differ.
const clockSlack = 100 * time.Millisecond

// mine reports whether a trace is of the road.
func (j *judge) mine(t *tree) bool {
	return slices.ContainsFunc(t.spans, func(s *span) bool { return strings.HasPrefix(s.netns, j.w.prefix) })
}

// judge looks at all traces of a file.
func (j *judge) judge(all []*tree, pairs map[[2]end]bool) {
	for _, t := range all {
		if !j.mine(t) {
			continue
		}
		checkLinks(t, pairs)
		for _, f := range t.faults {
			j.fault("trace of %s: %s", t.title(), f)
		}
		j.assign(t)
	}
	for _, s := range j.sent {
		j.judgePings(s)
	}
}

// title names a trace by its root.
func (t *tree) title() string {
	if len(t.roots) == 0 {
		return "nothing"
	}
	a := t.roots[0].attrs
	return fmt.Sprintf("ping %s -> %s seq %s", a["source.address"], a["destination.address"], a["dwell.icmp.seq"])
}

// assign finds the ping that a trace is of.
func (j *judge) assign(t *tree) {
	for _, s := range t.spans {
		if !strings.HasPrefix(s.netns, j.w.prefix) {
			j.fault("trace of %s: the span %s is in %s, of another road", t.title(), s.name, s.netns)
		}
	}
	if len(t.roots) == 0 {
		return
	}
	root := t.roots[0]
	id, _ := strconv.Atoi(root.attrs["dwell.icmp.id"])
	seq, _ := strconv.Atoi(root.attrs["dwell.icmp.seq"])
	to, _ := netip.ParseAddr(root.attrs["destination.address"])
	p := ping{uint16(id), seq, to}
	j.traces[p] = append(j.traces[p], t)
	i := slices.IndexFunc(j.sent, func(s *sent) bool { return s.id == p.id && netip.MustParseAddr(s.to) == to })
	if i < 0 {
		i = slices.IndexFunc(j.sent, func(s *sent) bool { return s.id == p.id })
	}
	if i < 0 {
		j.fault("the trace of %s, identifier %d, is of no ping: %s", t.title(), id, j.describe(t))
		return
	}
	s := j.sent[i]
	if seq < 1 || seq > s.count() {
		j.fault("the trace of %s has the sequence number %d", t.title(), seq)
	}
	if netip.MustParseAddr(s.to) != to {
		j.fault("the trace of %s goes to %s, want %s", t.title(), to, s.to)
	}
	if at := time.Unix(0, root.start); at.Before(s.at.Add(-clockSlack)) || at.After(time.Now().Add(clockSlack)) {
		j.fault("the trace of %s begins at %s, its ping at %s", t.title(), at, s.at)
	}
	if src := root.attrs["source.address"]; s.src != "" && !same(src, s.src) {
		j.fault("the trace of %s comes from %s, want %s", t.title(), src, s.src)
	}
}

func same(a, b string) bool {
	x, err := netip.ParseAddr(a)
	return err == nil && x == netip.MustParseAddr(b)
}

func (j *judge) judgePings(s *sent) {
	if s.err != nil {
		j.fault("ping of %s: %v", s.to, s.err)
	}
	want := s.want.answers
	if want == 0 && s.want.outcomeName() == "complete" {
		want = s.count()
	}
	if want >= 0 && s.answers != want {
		j.fault("pings of %s: %d replies, want %d", s.to, s.answers, want)
	}
	for seq := 1; seq <= s.count(); seq++ {
		found := j.traces[ping{s.id, seq, netip.MustParseAddr(s.to)}]
		if len(found) != 1 {
			j.fault("a ping of %s has %d traces", s.to, len(found))
		}
		for _, t := range found {
			j.judgeTrace(t, &s.want)
		}
		if seq == 1 && len(found) > 0 {
			j.shown = append(j.shown, j.describe(found[0]))
		}
	}
}

// judgeTrace holds one trace against what is right.
func (j *judge) judgeTrace(t *tree, w *want) {
	root := t.roots[0]
	journeys := map[string][]*span{}
	between := ""
	for _, c := range root.children {
		if c.journey() {
			journeys[c.kind()] = append(journeys[c.kind()], c)
		} else {
			between = c.name
		}
	}
	j.expect(t, "outcome", root.attrs["dwell.outcome"]+" "+root.attrs["dwell.incomplete"], w.outcomeName()+" "+w.cause)
	j.expectPath(t, "request", journeys["echo request"], w.request)
	replies := journeys["echo reply"]
	if n := 1 + len(w.extra); w.reply != "" && len(replies) > n {
		j.fault("%d replies in the trace, want %d: %s", len(replies), n, j.describe(t))
	}
	j.expectPath(t, "reply", replies[:min(1, len(replies))], w.reply)
	for i, e := range w.extra {
		j.expectPath(t, "further reply", replies[min(i+1, len(replies)):min(i+2, len(replies))], e)
	}
	if w.between != "" {
		j.expect(t, "between", between, w.between)
	}
	if w.payload != 0 {
		j.expect(t, "payload", root.attrs["dwell.icmp.payload_size"], strconv.Itoa(w.payload))
	}
	for _, l := range root.leaves(nil) {
		for _, never := range w.never {
			if strings.HasPrefix(l.name, never) {
				j.fault("%q must not be there: %s", l.name, j.describe(t))
			}
		}
	}
	j.judgeEvents(t, w)
	j.note(t)
}

func (j *judge) expect(t *tree, what, got, want string) {
	if got != want {
		j.fault("%s is %q, want %q: %s", what, got, want, j.describe(t))
	}
}

func (j *judge) expectPath(t *tree, what string, journeys []*span, want string) {
	if want == "" {
		return
	}
	got := "none"
	if len(journeys) > 0 {
		got = j.w.path(journeys[0])
	}
	if !alike(got, want) {
		j.fault("%s:\n  got  %s\n  want %s\n  (%s)", what, got, want, t.title())
	}
}

// alike compares a way with what is wanted, in which "…" stands for anything.
func alike(got, want string) bool {
	parts := strings.Split(want, "…")
	if len(parts) == 1 {
		return got == want
	}
	last := parts[len(parts)-1]
	if !strings.HasPrefix(got, parts[0]) || !strings.HasSuffix(got, last) {
		return false
	}
	got = got[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(got, p)
		if i < 0 {
			return false
		}
		got = got[i+len(p):]
	}
	return len(got) >= len(last)
}

// judgeEvents checks where the packet died, what was done to it and through which tunnel
// it went.
func (j *judge) judgeEvents(t *tree, w *want) {
	var drops, events, tunnels []string
	for _, s := range t.spans {
		for _, e := range s.events {
			switch e.name {
			case "drop":
				drops = append(drops, fmt.Sprintf("[%s] %s", j.w.role(s), e.attrs["dwell.drop.reason"]))
			case "icmp.error":
				events = append(events, fmt.Sprintf("icmp.error %s %s/%s",
					e.attrs["source.address"], e.attrs["dwell.icmp.error.type"], e.attrs["dwell.icmp.error.code"]))
			default:
				events = append(events, e.name)
			}
		}
		if typ := s.attrs["dwell.tunnel.type"]; typ != "" && len(s.children) == 0 {
			tunnels = append(tunnels, typ+" "+s.attrs["dwell.tunnel.id"])
		}
	}
	if w.drop != "" && !slices.ContainsFunc(drops, w.died) {
		j.fault("drops are %q, want %q: %s", drops, w.drop, j.describe(t))
	}
	if w.drop == "" && len(drops) > 0 && w.outcomeName() == "complete" {
		j.fault("drops in a complete trace: %q: %s", drops, j.describe(t))
	}
	if w.event != "" && !slices.Contains(events, w.event) {
		j.fault("events are %q, want %q: %s", events, w.event, j.describe(t))
	}
	if w.tunnel != "" && !slices.Contains(tunnels, w.tunnel) {
		j.fault("tunnels are %q, want %q: %s", tunnels, w.tunnel, j.describe(t))
	}
}

// note keeps what the trace says was not seen.
func (j *judge) note(t *tree) {
	for _, s := range t.spans {
		switch s.kind() {
		case "unseen":
			j.unseen["["+j.w.role(s)+"] "+s.name] = true
		case "tunnel", "encrypted":
			j.partly["["+j.w.role(s)+"] "+s.name] = true
		}
	}
	root := t.roots[0]
	if cause := root.attrs["dwell.incomplete"]; cause == "unseen" || cause == "no_request" {
		j.unseen["incomplete"] = true
	}
}

// describe returns a trace on one line.
func (j *judge) describe(t *tree) string {
	var parts []string
	for _, r := range t.roots {
		parts = append(parts, fmt.Sprintf("%s (%s %s %s)", r.name, r.attrs["dwell.outcome"], r.attrs["dwell.incomplete"], r.attrs["error.type"]))
		for _, c := range r.children {
			if c.journey() {
				parts = append(parts, c.name+": "+j.w.path(c))
			} else {
				parts = append(parts, c.name)
			}
		}
	}
	return strings.Join(parts, "; ")
}
