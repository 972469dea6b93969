// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// checkLabels holds what Prometheus would scrape from the agent itself against what it
// scrapes from the Collector: every series is there under the same name, with the same
// labels beside those that only a Collector adds. So the rules work on both roads.
func (c *chain) checkLabels(t *testing.T) {
	t.Helper()
	await(t, "the agent's series at the Collector", c.processes, func() string {
		direct, collected := c.scrape(t, atAgent), c.scrape(t, atCollector)
		if len(direct) == 0 {
			return "the agent shows none"
		}
		for _, s := range direct {
			if !slices.ContainsFunc(collected, s.partOf) {
				return s.String()
			}
		}
		return ""
	})
}

// checkDirect waits until the alert fires without the Collector as well, with the same
// labels, made of native histograms.
func (c *chain) checkDirect(t *testing.T, fired alert) {
	t.Helper()
	expr := `ALERTS{alertstate="firing"`
	for name, value := range fired.Labels {
		expr += fmt.Sprintf(", %s=%q", name, value)
	}
	await(t, "the alert to fire without a Collector", c.processes, func() string {
		if _, ok := c.direct.value(t, "count("+expr+"})"); !ok {
			return "it does not"
		}
		return ""
	})
	if n, ok := c.direct.value(t, `histogram_count(sum(dwell_device_duration_seconds))`); !ok || n == 0 {
		t.Error("there are no native histograms")
	}
	if n, ok := c.direct.value(t, `count(dwell_device_duration_seconds_bucket)`); ok {
		t.Errorf("%v classic buckets may have made the alert fire", n)
	}
}

// checkDashboard asks what the dashboard asks: each panel has something to show, but for
// what does not happen here.
func (c *chain) checkDashboard(t *testing.T) {
	t.Helper()
	absent := regexp.MustCompile(`dwell_drops_total|spans_lost_total|dwell_agent_spool|dwell_agent_tenant|dwell_firewall|dwell_fastpath|dwell_tenant_id!=""`)
	fill := strings.NewReplacer("$host", ".*", "$netns", ".*", "$device", ".*", "$tenant", ".*", "$__rate_interval", "10s")
	for _, p := range openDashboard(t).all() {
		for _, target := range p.Targets {
			expr := fill.Replace(target.Expr)
			if expr == "" || absent.MatchString(expr) {
				continue
			}
			await(t, "something in the panel "+p.Title, c.processes, func() string {
				if n, _ := c.prometheus.value(t, "count("+expr+")"); n == 0 {
					return "nothing is the result of " + expr
				}
				return ""
			})
		}
	}
}

// shown is a series as it is scraped, without its value.
type shown struct {
	name   string
	labels map[string]string
}

func (s shown) String() string {
	var b strings.Builder
	b.WriteString(s.name)
	for _, l := range slices.Sorted(maps.Keys(s.labels)) {
		b.WriteString(" " + l + "=" + s.labels[l])
	}
	return b.String()
}

// partOf says whether the other has the name and all the labels, too. An empty label
// is none.
func (s shown) partOf(other shown) bool {
	for name, value := range s.labels {
		if other.labels[name] != value {
			return false
		}
	}
	return s.name == other.name
}

// scrape returns dwell's series at an address.
func (c *chain) scrape(t *testing.T, address string) []shown {
	t.Helper()
	page, err := c.get(t, "http://"+address+"/metrics")
	if err != nil {
		return nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(page)))
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	var all []shown
	for name, f := range families {
		if !strings.HasPrefix(name, "dwell_") {
			continue
		}
		for _, m := range f.Metric {
			s := shown{name, map[string]string{"type": f.GetType().String()}}
			for _, l := range m.Label {
				s.labels[l.GetName()] = l.GetValue()
			}
			if f.GetType() == dto.MetricType_HISTOGRAM {
				s.labels["buckets"] = bounds(m.Histogram)
			}
			all = append(all, s)
		}
	}
	return all
}

// bounds returns the bounds of the buckets as text.
func bounds(h *dto.Histogram) string {
	var b strings.Builder
	for _, bucket := range h.Bucket {
		b.WriteString(model.SampleValue(bucket.GetUpperBound()).String() + " ")
	}
	return b.String()
}
