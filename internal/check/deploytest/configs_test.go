// SPDX-License-Identifier: Apache-2.0

package deploytest_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/config"
)

// The agents' configurations are good.
func TestAgentConfigurations(t *testing.T) {
	for _, dir := range []string{"compose", "systemd", "kubernetes"} {
		loaded, err := config.Load(filepath.Join(root, "examples", dir, "dwell.yaml"), nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(loaded.Warnings) > 0 {
			t.Errorf("%s: %v", dir, loaded.Warnings)
		}
		c := loaded.Config
		if c.Export.OTLP.Endpoint == "" || c.Export.Spool.Dir == "" || c.HTTP.Listen == "" {
			t.Errorf("%s: no endpoint, no spool or nothing to scrape: %+v", dir, c)
		}
	}
}

// collector is a Collector's configuration, as far as is looked at here.
type collector struct {
	Receivers, Processors, Connectors, Exporters, Extensions map[string]any
	Service                                                  struct {
		Extensions []string
		Telemetry  any
		Pipelines  map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

func readCollector(t *testing.T, file string) collector {
	t.Helper()
	var c collector
	if err := yaml.UnmarshalWithOptions([]byte(read(t, file)), &c, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

// What is configured is used and what is used is configured; memory is guarded first.
func TestCollectorConfigurations(t *testing.T) {
	for _, file := range []string{
		"examples/compose/otel-collector.yaml", "examples/kubernetes/gateway-config.yaml", "examples/kubernetes/sampler-config.yaml",
	} {
		c := readCollector(t, file)
		used := map[string]bool{}
		for _, name := range c.Service.Extensions {
			used[name] = true
		}
		for name, p := range c.Service.Pipelines {
			for _, n := range slices.Concat(p.Receivers, p.Processors, p.Exporters) {
				used[n] = true
			}
			if len(p.Processors) == 0 || p.Processors[0] != "memory_limiter" {
				t.Errorf("%s: pipeline %s does not begin with memory_limiter", file, name)
			}
		}
		var defined []string
		for _, m := range []map[string]any{c.Receivers, c.Processors, c.Connectors, c.Exporters, c.Extensions} {
			defined = slices.AppendSeq(defined, maps.Keys(m))
		}
		slices.Sort(defined)
		if diff := cmp.Diff(defined, slices.Sorted(maps.Keys(used))); diff != "" {
			t.Errorf("%s (-configured +used):\n%s", file, diff)
		}
	}
}

// Both Collectors that sample keep the same, but for the share of the rest.
func TestSamplingPolicies(t *testing.T) {
	policies := func(file string) any {
		return readCollector(t, file).Processors["tail_sampling"].(map[string]any)["policies"].([]any)[:3]
	}
	if diff := cmp.Diff(policies("examples/compose/otel-collector.yaml"), policies("examples/kubernetes/sampler-config.yaml")); diff != "" {
		t.Errorf("compose and Kubernetes (-compose +kubernetes):\n%s", diff)
	}
}

// The image is the same, whether the binary is built in it or before.
func TestDockerfiles(t *testing.T) {
	metadata := func(file string) []string {
		_, final, _ := strings.Cut(read(t, file), "FROM scratch\n")
		return regexp.MustCompile(`(?m)^(ARG|LABEL|      org|EXPOSE|USER|ENTRYPOINT|CMD).*$`).FindAllString(final, -1)
	}
	got := metadata("Dockerfile")
	if diff := cmp.Diff(metadata("examples/docker/Dockerfile.binary"), got); diff != "" {
		t.Errorf("(-Dockerfile.binary +Dockerfile):\n%s", diff)
	}
	if !slices.Contains(got, `ENTRYPOINT ["/dwell"]`) {
		t.Errorf("the image does not run dwell without a shell: %q", got)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	if !strings.Contains(read(t, "Dockerfile"), "golang:"+version+".") {
		t.Errorf("go.mod is for Go %s, the Dockerfile is not", version)
	}
}
