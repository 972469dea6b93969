// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The documentation of the attributes names each outcome and each cause, and every outcome
// is described in words of its own.
func TestOutcomesAndCausesAreDocumented(t *testing.T) {
	meaning := func(key string) string {
		i := slices.IndexFunc(trace.Attributes, func(a trace.Attribute) bool { return a.Key == key })
		return trace.Attributes[i].Meaning
	}
	seen := map[string]bool{"": true}
	for _, o := range trace.Outcomes() {
		if m := o.Meaning(); seen[m] {
			t.Errorf("%s has the meaning %q, which another has or is none", o, m)
		} else {
			seen[m] = true
		}
		if !strings.Contains(meaning(trace.AttrOutcome), fmt.Sprintf("%q", o.String())) {
			t.Errorf("%s is not documented as a value of %s", o, trace.AttrOutcome)
		}
		if e := o.ErrorType(); e != "" && !strings.Contains(meaning(trace.AttrErrorType), fmt.Sprintf("%q", e)) {
			t.Errorf("%s is not documented as a value of %s", e, trace.AttrErrorType)
		}
	}
	var causes []string
	for _, c := range trace.Causes() {
		causes = append(causes, string(c))
	}
	if all := strings.Join(causes, ", "); !strings.Contains(meaning(trace.AttrIncomplete), ": "+all+".") {
		t.Errorf("%s is documented as %q, and the causes are %s", trace.AttrIncomplete, meaning(trace.AttrIncomplete), all)
	}
	if o := trace.Outcome(0); o.Meaning() != "" || o.ErrorType() != "" {
		t.Errorf("the outcome 0 means %q", o.Meaning())
	}
}

// The round trip ends with the first reply, whatever comes later.
func TestRTTEndsWithTheFirstReply(t *testing.T) {
	var tr trace.Trace
	root := tr.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, Start: 100, End: 900})
	tr.Add(root, trace.Span{Kind: trace.KindRequest, Start: 100, End: 200})
	if rtt, ok := tr.RTT(); ok {
		t.Errorf("%d ns without a reply", rtt)
	}
	tr.Add(root, trace.Span{Kind: trace.KindReply, Start: 200, End: 450})
	tr.Add(root, trace.Span{Kind: trace.KindReply, Start: 500, End: 900})
	if rtt, ok := tr.RTT(); rtt != 350 || !ok || tr.ReplySpan != 2 {
		t.Errorf("%d ns, %t, reply %d; want 350, true, 2", rtt, ok, tr.ReplySpan)
	}
}
