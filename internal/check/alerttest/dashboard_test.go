// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/check/alerttest"
)

// grafana is what of a dashboard is looked at here.
type grafana struct {
	UID        string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
			Datasource source
		}
	}
}

type panel struct {
	ID          int
	Title, Type string
	Datasource  source
	Panels      []panel
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		Expr, Query, QueryType string
		Exemplar               bool
		Datasource             source
	}
}

type source struct{ Type, UID string }

func openDashboard(t *testing.T) grafana {
	t.Helper()
	var d grafana
	if err := json.Unmarshal([]byte(read(t, dashboard)), &d); err != nil {
		t.Fatalf("%s: %v", dashboard, err)
	}
	return d
}

// all returns the panels, those in rows included.
func (d grafana) all() []panel {
	panels := slices.Clone(d.Panels)
	for _, p := range d.Panels {
		panels = append(panels, p.Panels...)
	}
	return panels
}

func TestDashboardExpressions(t *testing.T) {
	d := openDashboard(t)
	var exprs []string
	for _, p := range d.all() {
		for _, target := range p.Targets {
			if target.Datasource.Type == "prometheus" {
				exprs = append(exprs, target.Expr)
			}
		}
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`label_values\((.*), (\w+)\)`).FindStringSubmatch(string(v.Query)); m != nil {
			exprs = append(exprs, fmt.Sprintf("count by (%s) (%s)", m[2], strings.ReplaceAll(m[1], `\"`, `"`)))
		}
	}
	if len(exprs) < len(d.Panels)/2 {
		t.Fatalf("only %d expressions in %d panels", len(exprs), len(d.Panels))
	}
	checkExpressions(t, exprs)
}

// The data sources are those that examples/compose provisions.
func TestDashboardSources(t *testing.T) {
	d := openDashboard(t)
	sources := []source{{"prometheus", "prometheus"}, {"tempo", "tempo"}}
	check := func(what string, s source) {
		if !slices.Contains(sources, s) {
			t.Errorf("%s has the data source %+v, want one of %+v", what, s, sources)
		}
	}
	ids := map[int]bool{}
	for _, p := range d.all() {
		if ids[p.ID] {
			t.Errorf("panel %q has the ID of another one: %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" || p.Type == "text" {
			continue
		}
		check(p.Title, p.Datasource)
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			check(p.Title, target.Datasource)
		}
	}
}

// The alerts link to variables of the dashboard.
func TestAlertsLinkToTheDashboard(t *testing.T) {
	d := openDashboard(t)
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	links := 0
	for _, r := range rules(t) {
		link := r.Annotations["dashboard"]
		if link == "" {
			continue
		}
		links++
		if !strings.Contains(link, "/d/"+d.UID+"?") {
			t.Errorf("%s links to %s, not to the dashboard %q", r.Alert, link, d.UID)
		}
		for _, m := range regexp.MustCompile(`var-(\w+)=`).FindAllStringSubmatch(link, -1) {
			if !slices.Contains(variables, m[1]) {
				t.Errorf("%s links to the variable %s; the dashboard has %q", r.Alert, m[1], variables)
			}
		}
	}
	if links == 0 {
		t.Error("no alert links to the dashboard")
	}
}

// checkExpressions has Prometheus' own parser read them, as rules, and looks for names
// that there are not. What Grafana fills in is filled in before.
func checkExpressions(t *testing.T, exprs []string) {
	t.Helper()
	all := known(t)
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m")
	group := alerttest.Group{Name: "expressions"}
	for i, expr := range exprs {
		expr = fill.Replace(expr)
		if missing := all.unknown(expr); len(missing) > 0 {
			t.Errorf("there is no %s in:\n%s", strings.Join(missing, ", no "), expr)
		}
		group.Rules = append(group.Rules, alerttest.Rule{Record: fmt.Sprintf("expression:%d", i), Expr: expr})
	}
	path := filepath.Join(t.TempDir(), "expressions.yml")
	write(t, path, []byte(format(t, alerttest.File{Groups: []alerttest.Group{group}})))
	run(t, program(t, "promtool"), "check", "rules", path)
}
