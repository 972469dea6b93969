// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// Where in the place each of them listens.
const (
	atAgent        = "127.0.0.1:9464"
	atOTLP         = "127.0.0.1:4317"
	atCollector    = "127.0.0.1:8889"
	atPrometheus   = "127.0.0.1:9090"
	atDirect       = "127.0.0.1:9091"
	atAlertmanager = "127.0.0.1:9093"
	atWebhook      = "127.0.0.1:9099"
)

// hostName is the agent's, by configuration.
const hostName = "alerttest"

// agentConfig looks at the lab alone and sends everything to the Collector.
func agentConfig(t testing.TB, l *lab.Lab) string {
	t.Helper()
	var names []string
	for _, role := range l.Topology().Roles() {
		_, name := l.NetNS(role)
		names = append(names, name)
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	_, hypervisor := l.NetNS(lab.Hypervisor)
	return fmt.Sprintf(`
host: {name: %s, id: %[1]s}
trace:
  netns: %s
  hypervisors: [%q]
export:
  otlp: {endpoint: "http://%s"}
metrics:
  otlp: {enabled: true, endpoint: "http://%[4]s", interval: 1s}
http: {listen: %[5]q}
containers: {enabled: false}
`, hostName, list, hypervisor, atOTLP, atAgent)
}

// readmeConfig is what the README tells those to set who have a Collector.
func readmeConfig(t testing.TB) string {
	t.Helper()
	m := regexp.MustCompile("(?s)```yaml\n(exporters:\n.*?)```").FindStringSubmatch(read(t, readme))
	if m == nil {
		t.Fatal("the README does not say how to set up the Collector's exporter")
	}
	return m[1]
}

// collectorConfig is read after readmeConfig and adds to it.
func collectorConfig(traces string) string {
	return fmt.Sprintf(`
receivers:
  otlp:
    protocols:
      grpc: {endpoint: %q}
exporters:
  file: {path: %q}
  prometheus: {endpoint: %q}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [prometheus]}
`, atOTLP, traces, atCollector)
}

// prometheusConfig evaluates the rules over what the Collector shows, and tells the
// Alertmanager.
func prometheusConfig() string {
	return scrapeConfig(atCollector) + fmt.Sprintf(`
alerting:
  alertmanagers:
    - static_configs: [{targets: [%q]}]
  alert_relabel_configs:
    - {action: labeldrop, regex: jaeger_url}
`, atAlertmanager)
}

// scrapeConfig is the configuration of a Prometheus that tells nobody.
func scrapeConfig(target string) string {
	return fmt.Sprintf(`
global:
  scrape_interval: 1s
  evaluation_interval: 1s
  external_labels: {jaeger_url: "http://jaeger.test:16686"}
rule_files: ["*.rules.yml"]
scrape_configs:
  - job_name: dwell
    static_configs: [{targets: [%q]}]
`, target)
}

// writeRules writes the shipped rules at the test's pace.
func writeRules(t testing.TB, dir string) {
	t.Helper()
	for name, f := range load(t) {
		short, err := f.Shorten(pace)
		if err != nil {
			t.Fatal(err)
		}
		text, err := short.Format()
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), text)
	}
}

// alertmanagerConfig is the shipped one at the test's pace, with a webhook for its
// receiver.
func alertmanagerConfig(t testing.TB) []byte {
	t.Helper()
	var config map[string]any
	if err := yaml.Unmarshal([]byte(read(t, alertmanager)), &config); err != nil {
		t.Fatal(err)
	}
	route := config["route"].(map[string]any)
	for _, key := range []string{"group_wait", "group_interval", "repeat_interval"} {
		d, err := model.ParseDuration(route[key].(string))
		if err != nil {
			t.Fatal(err)
		}
		route[key] = fmt.Sprintf("%dms", (time.Duration(d) / pace).Milliseconds())
	}
	receiver := config["receivers"].([]any)[0].(map[string]any)
	receiver["webhook_configs"] = []any{map[string]any{"url": "http://" + atWebhook, "send_resolved": true}}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
