// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// runbookURL is what the alerts' links begin with.
const runbookURL = "https://github.com/dwelltrace/dwell/blob/main/docs/runbook.md#"

// Whoever is woken by an alert finds its section, and no section is about an alert that
// there is not.
func TestRunbookHasASectionForEachAlert(t *testing.T) {
	var alerts []string
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts = append(alerts, r.Alert)
		if want := runbookURL + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("runbook_url of %s is %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
	for _, alert := range alerts {
		if !strings.Contains(read(t, readme), "| "+alert+" |") {
			t.Errorf("the README does not list %s", alert)
		}
	}
	slices.Sort(alerts)
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (Dwell\w+)$`).FindAllStringSubmatch(read(t, runbook), -1) {
		sections = append(sections, m[1])
	}
	slices.Sort(sections)
	if alerts = slices.Compact(alerts); !slices.Equal(alerts, sections) {
		t.Errorf("sections of the runbook %q, alerts %q", sections, alerts)
	}
}

func TestRunbookSectionsAreComplete(t *testing.T) {
	for _, section := range strings.Split(read(t, runbook), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		if !strings.HasPrefix(title, "Dwell") {
			continue
		}
		at := 0
		for _, part := range []string{"**What it means.**", "**How to see it.**", "**Usual causes**", "**What to do.**"} {
			i := strings.Index(text[at:], part)
			if i < 0 {
				t.Errorf("the section %s has no %s, or not in this order", title, part)
				break
			}
			at += i
		}
	}
}

// The expressions that the runbook shows are read by Prometheus and name what there is.
func TestRunbookExpressions(t *testing.T) {
	var exprs []string
	for _, m := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(read(t, runbook), -1) {
		exprs = append(exprs, m[1])
	}
	if len(exprs) == 0 {
		t.Fatal("the runbook has no expressions")
	}
	checkExpressions(t, exprs)
}
