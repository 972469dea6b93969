// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/exporter/metrics"
)

// series are the names that an expression may use, each with its labels.
type series map[string][]string

// known returns what dwell shows and what the rules record.
func known(t testing.TB) series {
	t.Helper()
	all := series{"up": {"job", "instance"}}
	for _, d := range metrics.Definitions() {
		labels := append(d.Labels(), "host_name", "le", metrics.Label(metrics.AttrOverflow))
		all[d.Prometheus()] = labels
		if d.Instrument == metrics.Histogram {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				all[d.Prometheus()+suffix] = labels
			}
		}
	}
	for _, r := range rules(t) {
		if m := regexp.MustCompile(`by \((.*?)\)`).FindStringSubmatch(r.Expr); r.Record != "" && m != nil {
			all[r.Record] = strings.Split(strings.ReplaceAll(m[1], " ", ""), ",")
		}
	}
	// A recorded series that is made of another one has its labels.
	for _, r := range rules(t) {
		if r.Record != "" && all[r.Record] == nil {
			all[r.Record] = all[names(r.Expr)[0]]
		}
	}
	return all
}

var (
	inString = regexp.MustCompile(`"[^"]*"`)
	inBraces = regexp.MustCompile(`\{([^}]*)\}`)
	inClause = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	name     = regexp.MustCompile(`\b(?:dwell|up|traces)[:_][a-z0-9:_]+\b|\bup\b`)
	label    = regexp.MustCompile(`\b[a-z_]+\b`)
)

// names returns the series that an expression reads.
func names(expr string) []string {
	expr = inString.ReplaceAllString(expr, "")
	return name.FindAllString(inClause.ReplaceAllString(inBraces.ReplaceAllString(expr, ""), ""), -1)
}

// labels returns the labels that an expression names.
func labels(expr string) []string {
	expr = inString.ReplaceAllString(expr, "")
	var all []string
	for _, m := range slices.Concat(inBraces.FindAllStringSubmatch(expr, -1), inClause.FindAllStringSubmatch(expr, -1)) {
		all = append(all, label.FindAllString(m[1], -1)...)
	}
	return all
}

// unknown says which names of an expression there are not: series, or labels that
// none of its series has.
func (s series) unknown(expr string) []string {
	var missing []string
	have := map[string]bool{}
	for _, name := range names(expr) {
		if s[name] == nil {
			missing = append(missing, "series "+name)
		}
		for _, l := range s[name] {
			have[l] = true
		}
	}
	for _, l := range labels(expr) {
		if !have[l] {
			missing = append(missing, fmt.Sprintf("label %s, of %q", l, slices.Sorted(maps.Keys(have))))
		}
	}
	if len(have) == 0 {
		missing = append(missing, "any series")
	}
	return missing
}

func TestRulesReadWhatDwellShows(t *testing.T) {
	all := known(t)
	for _, r := range rules(t) {
		if missing := all.unknown(r.Expr); len(missing) > 0 {
			t.Errorf("%s%s: there is no %s", r.Record, r.Alert, strings.Join(missing, ", no "))
		}
	}
}

func TestUnknownNamesAreFound(t *testing.T) {
	all := series{"dwell_a_total": {"host_name", "cause"}}
	for expr, want := range map[string]string{
		`sum by (cause) (rate(dwell_a_total{host_name=~"dwell_x.*"}[5m])) > 3e-6`: "",
		`rate(dwell_b_total[5m])`:                     "series dwell_b_total any series",
		`dwell_a_total{dwell_kind="x"}`:               `label dwell_kind, of ["cause" "host_name"]`,
		`dwell_a_total and on (device) dwell_a_total`: `label device, of ["cause" "host_name"]`,
		`vector(1)`: "any series",
		`topk(3, dwell_a_total) or dwell:a:rate5m offset 5m`: "series dwell:a:rate5m",
	} {
		if got := strings.Join(all.unknown(expr), " "); got != want {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

// Labels in the annotations are those of the alert's expression.
func TestAnnotationsNameLabelsThatAreThere(t *testing.T) {
	all := known(t)
	used := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, r := range rules(t) {
		var have []string
		for _, name := range names(r.Expr) {
			have = append(have, all[name]...)
		}
		for key, text := range r.Annotations {
			for _, m := range used.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(have, m[1]) {
					t.Errorf("%s of %s names the label %s, which its series have not", key, r.Alert, m[1])
				}
			}
		}
	}
}
