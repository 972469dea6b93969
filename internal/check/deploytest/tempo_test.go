// SPDX-License-Identifier: Apache-2.0

package deploytest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// tempoSections are those that Tempo 3.0 has and of which this deployment could make use
// (https://grafana.com/docs/tempo/latest/configuration/): it does not start with others, such as the
// compactor and ingester of earlier versions.
var tempoSections = []string{
	"backend_scheduler", "backend_worker", "block_builder", "distributor", "live_store", "memory", "metrics_generator",
	"multitenancy_enabled", "overrides", "querier", "query_frontend", "server", "storage", "stream_over_http_enabled", "usage_report",
}

// Tempo draws the graph of services of the operator's traces, Prometheus takes it, and
// Grafana knows where it is.
func TestServiceGraph(t *testing.T) {
	var sections map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "examples/compose/tempo.yaml")), &sections); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if !slices.Contains(tempoSections, name) {
			t.Errorf("tempo.yaml: Tempo 3.0 has no section %s", name)
		}
	}
	var overrides struct {
		Overrides map[string]struct {
			Generator struct{ Processors []string } `yaml:"metrics_generator"`
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "examples/compose/tempo-overrides.yaml")), &overrides, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for tenant, o := range overrides.Overrides {
		got[tenant] = o.Generator.Processors
	}
	if diff := cmp.Diff(map[string][]string{"operator": {"service-graphs"}}, got); diff != "" {
		t.Errorf("processors (-want +got):\n%s", diff)
	}
	for file, want := range map[string]string{
		"docker-compose.yml": "tempo-overrides.yaml:/etc/tempo/overrides.yaml:ro", "examples/compose/tempo.yaml": "per_tenant_override_config: /etc/tempo/overrides.yaml",
		"examples/compose/grafana/datasources/dwell.yaml": "serviceMap: {datasourceUid: prometheus}",
	} {
		if !strings.Contains(read(t, file), want) {
			t.Errorf("%s: no %s", file, want)
		}
	}
	if compose := read(t, "docker-compose.yml"); !strings.Contains(compose, "--web.enable-remote-write-receiver") {
		t.Error("Prometheus does not take what Tempo writes")
	}
}
