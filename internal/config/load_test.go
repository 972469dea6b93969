// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/config"
)

const full = `
host: {id: h1, name: host-1}
trace:
  netns: [host, "tenant-*", 4711]
  interfaces: [ens3]
  addresses:
    - 192.0.2.1
    - 2001:db8::/32
  hypervisors: [hv]
  netfilter: [none]
  timeout: 5s
  ring_size: 128MiB
  max_rate: 5000
  vxlan_ports: []
  key: ${env:KEY}
  root: host
sampling:
  at: export
  ratio: 0.25
  keep_slower_than: 1ms
export:
  otlp:
    endpoint: https://collector:4317
    protocol: http/protobuf
    compression: gzip
    headers:
      authorization: Bearer ${env:TOKEN}
      x-price: 5$$
    timeout: 30s
    tls: {ca_file: /ca.pem, insecure: false}
  queue: {spans: 1000, batch_spans: 100, senders: 8, delay: 1s}
  spool: {dir: /spool, max_bytes: 2GB}
  file: /traces
  rotate: {max_bytes: 1MiB, keep: 2}
metrics:
  prometheus: {enabled: false}
  otlp: {enabled: true, endpoint: "other:4317", protocol: http/protobuf, interval: 15s}
  max_series: 10
  buckets: [1us, 1ms]
  expire: 10m
http: {listen: ":0"}
containers: {enabled: false, sockets: [/run/s.sock]}
log: {level: DEBUG, format: json}
shutdown: {timeout: 1m}
`

func TestEverySetting(t *testing.T) {
	loaded, err := config.Parse("f", []byte(full), []string{"TOKEN=abc", hexKey})
	if err != nil {
		t.Fatal(err)
	}
	got := loaded.Config
	headers := map[string]string{}
	for name, h := range got.Export.OTLP.Headers {
		headers[name] = h.Value()
	}
	if diff := cmp.Diff(map[string]string{"authorization": "Bearer abc", "x-price": "5$"}, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if key := got.Trace.IDKey(); key != [config.KeySize]byte{0: 0x01, 15: 0xef} {
		t.Errorf("key %x", key)
	}
	got.Export.OTLP.Headers, got.Trace.Key = nil, config.Secret{}
	want := config.Config{
		Host: config.Host{ID: "h1", Name: "host-1"},
		Trace: config.Trace{
			NetNS: []config.Ref{"host", "tenant-*", "4711"}, Interfaces: []config.Interface{"ens3"},
			Addresses:   []config.Prefix{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, {Prefix: netip.MustParsePrefix("2001:db8::/32")}},
			Hypervisors: []config.Ref{"hv"}, Netfilter: []config.Ref{"none"},
			Timeout: config.Duration(5 * time.Second), RingSize: 128 << 20, MaxRate: 5000, VXLANPorts: []config.Port{},
			Root: config.OwnHost,
		},
		Sampling: config.Sampling{At: config.AtExport, Ratio: 0.25, KeepSlowerThan: config.Duration(time.Millisecond)},
		Export: config.Export{
			OTLP: config.OTLP{
				Endpoint: "https://collector:4317", Protocol: config.HTTPProtobuf, Compression: config.Gzip, Timeout: config.Duration(30 * time.Second),
				TLS: config.TLS{CAFile: "/ca.pem", Insecure: config.Off},
			},
			Queue: config.Queue{Spans: 1000, BatchSpans: 100, Senders: 8, Delay: config.Duration(time.Second)},
			Spool: config.Spool{Dir: "/spool", MaxBytes: 2e9}, File: "/traces", Rotate: config.Rotate{MaxBytes: 1 << 20, Keep: 2},
		},
		Metrics: config.Metrics{
			OTLP:      config.MetricsOTLP{Enabled: true, Endpoint: "other:4317", Protocol: config.HTTPProtobuf, Interval: config.Duration(15 * time.Second)},
			MaxSeries: 10, Buckets: []config.Duration{config.Duration(time.Microsecond), config.Duration(time.Millisecond)},
			Expire: config.Duration(10 * time.Minute),
		},
		HTTP:       config.HTTP{Listen: ":0"},
		Tenancy:    config.Default().Tenancy, // see TestTenants
		API:        config.Default().API,
		Firewall:   config.Default().Firewall,
		FastPath:   config.Default().FastPath,
		Probing:    config.Default().Probing,
		Containers: config.Containers{Sockets: []string{"/run/s.sock"}},
		Log:        config.Log{Level: config.Level(slog.LevelDebug), Format: config.JSON},
		Shutdown:   config.Shutdown{Timeout: config.Duration(time.Minute)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What sets nothing is the default.
func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "\n", "# a comment\n", "---\n", "trace:\n", "trace:\n  timeout:\n", "null", "\ufeff", string(config.Example())} {
		loaded, err := config.Parse("f", []byte(text), []string{"DWELL_LOG_LEVEL=", "PATH=/bin"})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if !reflect.DeepEqual(loaded.Config, config.Default()) || len(loaded.Warnings) > 0 {
			t.Errorf("%q: %+v %v", text, loaded.Config, loaded.Warnings)
		}
	}
}

func TestEnvironment(t *testing.T) {
	file := "trace:\n  timeout: 1\n  netns: [a, \"\"]\n  interfaces: [e]\nlog: {level: warn}\n"
	loaded, err := config.Parse("f", []byte(file), []string{
		"DWELL_TRACE_TIMEOUT=3s", "DWELL_TRACE_NETNS=x, y*", "DWELL_EXPORT_OTLP_ENDPOINT=c:1",
		"DWELL_EXPORT_OTLP_HEADERS=a=1,b=${env:B}=", "DWELL_METRICS_PROMETHEUS_ENABLED=false", "B=2",
		"DWELL_EXPORT_OTLP_ENPOINT=typo", "DWELL_ENDPOINT=typo", "DWELL_COLOUR=typo", "DWELL_AGENT_PORTAL=typo",
		"DWELL_PORT=tcp://10.0.0.1:9464", "DWELL_PORT_9464_TCP=tcp://10.0.0.1:9464", "DWELL_PORT_9464_TCP_ADDR=10.0.0.1",
		"DWELL_SERVICE_HOST=10.0.0.1", "DWELL_SERVICE_PORT_HTTP=9464", "DWELL_AGENT_SERVICE_HOST=10.0.0.1", "DWELL_AGENT_PORT_1_UDP=x",
	})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Config
	if time.Duration(c.Trace.Timeout) != 3*time.Second || !reflect.DeepEqual(c.Trace.NetNS, []config.Ref{"x", "y*"}) ||
		c.Export.OTLP.Endpoint != "c:1" || c.Metrics.Prometheus.Enabled || c.Export.OTLP.Headers["b"].Value() != "2=" ||
		len(c.Trace.Interfaces) != 1 || slog.Level(c.Log.Level) != slog.LevelWarn {
		t.Errorf("%+v", c)
	}
	want := []string{
		"the environment variable DWELL_EXPORT_OTLP_ENPOINT does not name a setting; did you mean DWELL_EXPORT_OTLP_ENDPOINT?",
		"the environment variable DWELL_ENDPOINT does not name a setting; did you mean DWELL_EXPORT_OTLP_ENDPOINT?",
		"the environment variable DWELL_COLOUR does not name a setting",
		"the environment variable DWELL_AGENT_PORTAL does not name a setting",
	}
	if diff := cmp.Diff(want, loaded.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{"trace.timeout": "DWELL_TRACE_TIMEOUT", "log.level": "f:5:14", "log.format": "f:5:6", "shutdown.timeout": "f"} {
		if got := loaded.Origin(path).String(); got != want {
			t.Errorf("origin of %s: %q, want %q", path, got, want)
		}
	}
}

// A value that nothing uses is told of, since whoever wrote it believes that it does.
func TestUnused(t *testing.T) {
	for text, want := range map[string][]string{
		"export: {otlp: {endpoint: a}, spool: {dir: /s}}\nmetrics: {otlp: {enabled: true, endpoint: b}}": nil,
		"metrics: {otlp: {endpoint: b}}":                  {"f:1:28: metrics.otlp.endpoint: not used: metrics.otlp.enabled is false"},
		"metrics: {otlp: {interval: 1s}}":                 nil, // harmless
		"containers: {enabled: false}":                    nil,
		"containers: {enabled: true, sockets: [/run/s]}":  nil,
		"containers: {enabled: false, sockets: [/run/s]}": {"f:1:39: containers.sockets: not used: containers.enabled is false"},
	} {
		loaded, err := config.Parse("f", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, loaded.Warnings); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", text, diff)
		}
	}
}

// A byte order mark, as some editors write it, is not part of the first name, and a switch
// is as any other true or false.
func TestLeniency(t *testing.T) {
	loaded, err := config.Parse("f", []byte("\ufeffexport: {otlp: {tls: {insecure: True}}}\r\nlog: {level: warn}\r\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Export.OTLP.TLS.Insecure != config.On || slog.Level(loaded.Log.Level) != slog.LevelWarn {
		t.Errorf("%+v", loaded.Config)
	}
}

func TestSecretsFromFilesAreReadAndHidden(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Parse("f", []byte(`export: {otlp: {headers: {a: "Bearer ${file:`+file+`}"}}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := loaded.Export.OTLP.Headers["a"]
	if secret.Value() != "Bearer s3cret" {
		t.Errorf("value %q", secret.Value())
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret)
	for _, text := range []string{secret.String(), cmp.Diff(secret.String(), ""), log.String(), string(loaded.YAML())} {
		if strings.Contains(text, "s3cret") {
			t.Errorf("told in %q", text)
		}
	}
}

// A file is as good as its text, and its name stands in the messages.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dwell.yaml")
	if err := os.WriteFile(path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path, []string{"TOKEN=abc", hexKey, "DWELL_TRACE_TIMEOUT=7s"})
	if err != nil {
		t.Fatal(err)
	}
	if want := parse(t, full, "TOKEN=abc", hexKey, "DWELL_TRACE_TIMEOUT=7s"); !reflect.DeepEqual(want.Config, loaded.Config) {
		t.Errorf("loaded %+v\nparsed %+v", loaded.Config, want.Config)
	}
	if got := loaded.Origin("host.id").String(); got != path+":2:12" {
		t.Errorf("host.id was set at %s", got)
	}
	if err := os.WriteFile(path, []byte("trace: {timeout: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, nil); err == nil || !strings.HasPrefix(err.Error(), path+":1:18: trace.timeout: ") {
		t.Errorf("%v", err)
	}
}

// The largest file that is read, and one byte more.
func TestLargestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dwell.yaml")
	text := "log: {level: debug}\n#"
	for size, want := range map[int]bool{1 << 20: true, 1<<20 + 1: false} {
		if err := os.WriteFile(path, []byte(text+strings.Repeat("x", size-len(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := config.Load(path, nil)
		if (err == nil) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
		if want && slog.Level(loaded.Log.Level) != slog.LevelDebug {
			t.Errorf("%d bytes: level %v", size, loaded.Log.Level)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none"): "there is no configuration file " + filepath.Join(dir, "none"),
		"/dev/zero":                "larger than 1 MiB",
		dir:                        "cannot read the configuration: read " + dir + ": is a directory",
		large:                      large + " is larger than 1 MiB",
		filepath.Join(large, "f"):  "cannot read the configuration: open ",
	} {
		if _, err := config.Load(file, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
