// SPDX-License-Identifier: Apache-2.0

package otelconfig_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/otelconfig"
)

const whole = `file_format: "1.0"
log_level: info
attribute_limits: {attribute_count_limit: 128}
resource:
  attributes_list: ${ATTRIBUTES:-}
  attributes:
    - name: service.name
      value: ${env:SERVICE:-pings}
    - {name: deployment.environment.name, value: "a, b=c %"}
    - {name: list, value: [1, 2], type: int_array}
propagator: {composite: [{tracecontext: }]}
tracer_provider:
  limits: {event_count_limit: 9}
  processors:
    - simple: {exporter: {console: }}
    - batch:
        schedule_delay: 5000
        exporter:
          otlp_grpc:
            endpoint: https://collector.example.net:4317
            headers_list: a=1
            headers:
              - {name: authorization, value: "Bearer ${TOKEN}"}
            compression: gzip
            timeout: 3000
            tls: {ca_file: /ca.pem, cert_file: /cert.pem, key_file: /key.pem}
    - batch: {exporter: {otlp_http: {endpoint: "http://other:4318/v1/traces"}}}
  sampler:
    parent_based:
      root: {trace_id_ratio_based: {ratio: 0.25}}
      remote_parent_sampled: {always_on: }
`

func TestWhole(t *testing.T) {
	environ := []string{"TOKEN=$x: {y}", "OTEL_CONFIG_FILE=f", "OTEL_SERVICE_NAME=other", "OTEL_EXPORTER_OTLP_ENDPOINT=", "PATH=/"}
	f, err := otelconfig.Parse("f", []byte(whole), environ)
	if err != nil {
		t.Fatal(err)
	}
	const e = "OTEL_EXPORTER_OTLP_TRACES_"
	want := []string{
		"OTEL_RESOURCE_ATTRIBUTES=service.name=pings,deployment.environment.name=a%2C%20b%3Dc%20%25",
		e + "PROTOCOL=grpc", e + "ENDPOINT=https://collector.example.net:4317",
		e + "HEADERS=a=1,authorization=Bearer%20%24x%3A%20%7By%7D", e + "COMPRESSION=gzip", e + "TIMEOUT=3000",
		e + "CERTIFICATE=/ca.pem", e + "CLIENT_CERTIFICATE=/cert.pem", e + "CLIENT_KEY=/key.pem",
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25",
	}
	if diff := cmp.Diff(want, f.Variables); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"}, f.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
	warnings := []string{
		"takes the place of OTEL_SERVICE_NAME;",
		"f:10:8: resource.attributes[2]: ", ": tracer_provider.processors[2]: dwell has one endpoint",
		"f:2:1: log_level: ", "f:3:1: attribute_limits: ", "f:11:1: propagator: ", "f:13:3: tracer_provider.limits: ",
		": tracer_provider.processors[0]: dwell does not use this",
		"f:17:9: tracer_provider.processors[1].batch.schedule_delay: dwell does not use this; set export.queue.delay",
		"f:31:7: tracer_provider.sampler.parent_based.remote_parent_sampled: ",
	}
	for _, want := range warnings {
		if !slices.ContainsFunc(f.Warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("no warning %q", want)
		}
	}
	if len(f.Warnings) != len(warnings) {
		t.Errorf("%d warnings, want %d:\n%s", len(f.Warnings), len(warnings), strings.Join(f.Warnings, "\n"))
	}
}

// TestForms: names of all versions, and what is left out.
func TestForms(t *testing.T) {
	const e = "OTEL_EXPORTER_OTLP_TRACES_"
	trace := func(format, exporter string) string {
		return "file_format: \"" + format + "\"\ntracer_provider: {processors: [{batch: {exporter: " + exporter + "}}]}\n"
	}
	sampler := func(s string) string { return "file_format: \"1.0\"\ntracer_provider: {sampler: " + s + "}\n" }
	ratio := func(text string) []string {
		return []string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=" + text}
	}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"defaults of gRPC": {trace("1.0", "{otlp_grpc: }"), []string{e + "PROTOCOL=grpc", e + "ENDPOINT=http://localhost:4317"}},
		"defaults of HTTP": {trace("1.1", "{otlp_http: {}}"), []string{e + "PROTOCOL=http/protobuf", e + "ENDPOINT=http://localhost:4318/v1/traces"}},
		"0.3": {
			trace("0.3", "{otlp: {protocol: http/protobuf, endpoint: \"http://a:1/x\", certificate: /c, client_certificate: /d, client_key: /e, insecure: false}}"),
			[]string{e + "PROTOCOL=http/protobuf", e + "ENDPOINT=http://a:1/x", e + "CERTIFICATE=/c", e + "CLIENT_CERTIFICATE=/d", e + "CLIENT_KEY=/e", e + "INSECURE=false"},
		},
		"0.4": {
			trace("0.4", "{otlp_grpc: {endpoint: \"a:1\", certificate_file: /c, client_certificate_file: /d, client_key_file: /e, insecure: true}}"),
			[]string{e + "PROTOCOL=grpc", e + "ENDPOINT=a:1", e + "CERTIFICATE=/c", e + "CLIENT_CERTIFICATE=/d", e + "CLIENT_KEY=/e", e + "INSECURE=true"},
		},
		"a release candidate": {trace("1.0-rc.2", "{otlp_grpc: {timeout: 0}}"), []string{e + "PROTOCOL=grpc", e + "ENDPOINT=http://localhost:4317"}},
		"anchors": {
			"file_format: \"1.0\"\nx: &to {otlp_grpc: {endpoint: \"a:1\"}}\ntracer_provider: {processors: [{batch: {exporter: *to}}]}\n",
			[]string{e + "PROTOCOL=grpc", e + "ENDPOINT=a:1"},
		},
		"metrics": {
			"file_format: \"1.0\"\nmeter_provider: {readers: [{pull: {exporter: {}}}, {periodic: {exporter: {otlp_http: {}}}}]}\n",
			[]string{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://localhost:4318/v1/metrics"},
		},
		"nothing":      {"file_format: \"1.0\"\n", nil},
		"disabled":     {trace("1.0", "{otlp_grpc: {}}") + "disabled: true\n", nil},
		"always on":    {sampler("{always_on: }"), nil},
		"always off":   {sampler("{always_off: {}}"), ratio("0")},
		"ratio":        {sampler("{trace_id_ratio_based: {ratio: 1e-3}}"), ratio("1e-3")},
		"probability":  {sampler("{probability/development: {ratio: .5}}"), ratio(".5")},
		"parent alone": {sampler("{parent_based: {}}"), nil},
		"no ratio":     {sampler("{trace_id_ratio_based: {}}"), nil},
		"another":      {sampler("{jaeger_remote/development: {endpoint: a}}"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := otelconfig.Parse("f", []byte(test.text), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, f.Variables); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestMistakes: each is an error that says where, and what would be right.
func TestMistakes(t *testing.T) {
	const head = "file_format: \"1.0\"\n"
	for text, want := range map[string]string{
		"":                       "f:1:1: file_format",
		"file_format: \"2.0\"\n": "file_format",
		head + "resource: {":     "f:2:",
		head + "resource: {attributes: [{value: a}]}\n":                                                      "f:2:26: resource.attributes[0]: a name",
		head + "resource: {attributes: [{name: \"a,b\", value: a}]}\n":                                       "a name without , and =",
		head + "resource: {attributes_list: \"${1X}\"}\n":                                                    "f:2:29: \"${1X\" is not a valid reference",
		head + "tracer_provider: {sampler: {trace_id_ratio_based: {ratio: 2}}}\n":                            "not a number between 0 and 1",
		head + "tracer_provider: {processors: [{batch: {exporter: {otlp_grpc: {timeout: 3s}}}}]}\n":          "not a number of milliseconds",
		head + "tracer_provider: {processors: [{batch: {exporter: {otlp_grpc: {headers: [{name: a}]}}}}]}\n": "a name without",
		head + "tracer_provider: {sampler: *nowhere}\n":                                                      `no anchor before this is called "nowhere"`,
	} {
		if _, err := otelconfig.Parse("f", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestRead is from the variable to the variables.
func TestRead(t *testing.T) {
	if f, err := otelconfig.Read([]string{"OTEL_CONFIG_FILE="}); f != nil || err != nil {
		t.Errorf("none: %v, %v", f, err)
	}
	if _, err := otelconfig.Read([]string{"OTEL_CONFIG_FILE=/nowhere"}); err == nil || !strings.Contains(err.Error(), "OTEL_CONFIG_FILE: open /nowhere") {
		t.Errorf("missing: %v", err)
	}
	name := filepath.Join(t.TempDir(), "otel.yaml")
	if err := os.WriteFile(name, []byte("file_format: \"1.0\"\nresource: {attributes: [{name: a, value: b}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_CONFIG_FILE", name)
	t.Setenv("OTEL_SERVICE_NAME", "other")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "c=d")
	f, err := otelconfig.Read(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(); err != nil {
		t.Fatal(err)
	}
	if _, ok := os.LookupEnv("OTEL_SERVICE_NAME"); ok || os.Getenv("OTEL_RESOURCE_ATTRIBUTES") != "a=b" || os.Getenv("OTEL_CONFIG_FILE") != name {
		t.Errorf("the environment is %q", os.Environ())
	}
}
