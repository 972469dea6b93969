// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otelFile writes a file in OpenTelemetry's format.
func otelFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "otel.yaml")
	if err := os.WriteFile(name, []byte("file_format: \"1.0\"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A replay sends its spans where OTEL_CONFIG_FILE says, with the headers and resource
// attributes that it says, and not where the other variables say.
func TestReplayByTheFile(t *testing.T) {
	var mu sync.Mutex
	var tokens, attributes []string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		var request coltracepb.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(sent, &request) != nil {
			t.Errorf("not a request: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, r.Header.Get("Authorization"))
		for _, rs := range request.ResourceSpans {
			for _, a := range rs.GetResource().GetAttributes() {
				if a.Key == "deployment.environment.name" {
					attributes = append(attributes, a.GetValue().GetStringValue())
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	p := dwell(t, "replay", "-o", "none", transcript("nat"))
	p.Env = append(p.Env, "TOKEN=Bearer a,b", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_CONFIG_FILE="+otelFile(t, `
resource: {attributes: [{name: deployment.environment.name, value: "lab 1"}]}
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_http:
            endpoint: `+s.URL+`/v1/traces
            timeout: 60000
            headers: [{name: authorization, value: "${TOKEN}"}]
  limits: {event_count_limit: 7}
  sampler: {trace_id_ratio_based: {ratio: 0.5}}
`))
	if status := p.exit(t); status != 0 {
		t.Errorf("status %d: %s", status, p.stderr.String())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(tokens) == 0 || tokens[0] != "Bearer a,b" || len(attributes) == 0 || attributes[0] != "lab 1" {
		t.Errorf("headers %q, attributes %q", tokens, attributes)
	}
	for _, want := range []string{"warning: ", "use --sample-ratio", "tracer_provider.limits: dwell does not use this", "takes the place of OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL;"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("does not say %q:\n%s", want, p.stderr.String())
		}
	}
}

// What the file says is the default of the agent's settings, and a mistake in it keeps the
// agent from starting, because traces would go elsewhere.
func TestAgentByTheFile(t *testing.T) {
	const file = "log_level: warn\ntracer_provider:\n  processors: [{batch: {exporter: {otlp_grpc: {endpoint: \"https://a.example.net:4317\"}}}}]\n" +
		"  sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.05}}}}\n"
	for name, test := range map[string]struct {
		file, config string
		status       int
		says         []string
	}{
		"the file": {file, "", 0, []string{"OTLP/gRPC to https://a.example.net:4317", "5 % of the pings", "warning: ", "log_level: dwell does not use this; set log.level"}},
		"dwell's own settings": {
			file, "sampling: {ratio: 0.5}\nexport: {otlp: {endpoint: \"b.example.net:4317\"}}\n", 0,
			[]string{"OTLP/gRPC to b.example.net:4317", "50 % of the pings"},
		},
		"metrics": {
			"meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: {endpoint: \"http://m:4317\"}}}}]}\n", "", 0,
			[]string{"warning: ", "metrics.otlp.enabled: it is false"},
		},
		"pushed metrics": {
			"meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: {endpoint: \"http://m:4317\"}}}}]}\n", "metrics: {otlp: {enabled: true}}\n", 0,
			[]string{"OTLP/gRPC to the endpoint of the environment"},
		},
		"a mistake":   {"tracer_provider: {sampler: {trace_id_ratio_based: {ratio: 5}}}\n", "", 1, []string{"otel.yaml:2:", "not a number between 0 and 1"}},
		"an endpoint": {"tracer_provider: {processors: [{batch: {exporter: {otlp_grpc: {endpoint: \"ftp://a\"}}}}]}\n", "", 1, []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "dwell.yaml")
			if err := os.WriteFile(config, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			p := dwell(t, "agent", "--config", config, "--check")
			p.Env = append(p.Env, "OTEL_CONFIG_FILE="+otelFile(t, test.file), "OTEL_TRACES_SAMPLER=always_off")
			status := p.exit(t)
			said := p.stdout.String() + p.stderr.String()
			if status != test.status {
				t.Errorf("status %d\n%s", status, said)
			}
			for _, want := range test.says {
				if !strings.Contains(said, want) {
					t.Errorf("does not say %q:\n%s", want, said)
				}
			}
		})
	}
}
