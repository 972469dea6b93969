// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/container"
)

// The configuration knows none of the packages that it is for, so that its defaults are
// written down again; they are theirs.
func TestDefaultsAreThoseOfThePackages(t *testing.T) {
	c := config.Default()
	got := agentOptions(c.Trace, c.Containers)
	want := agent.Options{
		BPF:     bpf.Options{RingBytes: bpf.DefaultRingBytes, VXLANPorts: []uint16{bpf.VXLANPort, bpf.LegacyVXLANPort}},
		Timeout: agent.DefaultTimeout,
	}
	if diff := cmp.Diff(want.BPF, got.BPF); diff != "" || got.Timeout != want.Timeout {
		t.Errorf("agent: %v (-want +got):\n%s", got.Timeout, diff)
	}
	if diff := cmp.Diff(container.DefaultSockets(), got.ContainerSockets); diff != "" || !got.Containers {
		t.Errorf("containers: %t (-want +got):\n%s", got.Containers, diff)
	}
	if diff := cmp.Diff(agent.Scope{}, got.Scope); diff != "" {
		t.Errorf("scope (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(exporter.Queue{}.WithDefaults(), queue(c.Export.Queue, 0)); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	if limit := (exporter.Spool{}).WithDefaults().MaxBytes; int64(c.Export.Spool.MaxBytes) != limit {
		t.Errorf("spool: %d, want %d", c.Export.Spool.MaxBytes, limit)
	}
	if c.Metrics.MaxSeries != metrics.DefaultMaxSeries || time.Duration(c.Metrics.Expire) != metrics.DefaultExpire {
		t.Errorf("metrics: %+v", c.Metrics)
	}
}

func TestSockets(t *testing.T) {
	for _, test := range []struct {
		c    config.Containers
		want []string
	}{
		{config.Containers{Enabled: false}, nil},
		{config.Containers{Enabled: true, Sockets: []string{"none"}}, nil},
		{config.Containers{Enabled: true, Sockets: []string{"unix:///run/a.sock", "/b"}}, []string{"unix:///run/a.sock", "/b"}},
	} {
		if diff := cmp.Diff(test.want, sockets(test.c)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.c, diff)
		}
	}
}

func TestResource(t *testing.T) {
	o := Options{Resource: otlpOptions()}
	for _, test := range []struct{ id, name, wantID, wantName string }{
		{"", "", "id", "name"},
		{"", "n", "id", "n"},
		{"i", "n", "i", "n"},
	} {
		r := o.resource(config.Config{Host: config.Host{ID: test.id, Name: test.name}})
		if r.Host.ID != test.wantID || r.Host.Name != test.wantName {
			t.Errorf("%+v: %+v", test, r.Host)
		}
	}
	o.Resource.Host.ID = o.Resource.Host.Name // there was no machine ID
	if r := o.resource(config.Config{Host: config.Host{Name: "n"}}); r.Host.ID != "n" {
		t.Errorf("ID %q", r.Host.ID)
	}
}

// An endpoint without a scheme is plain text or TLS as the configuration says.
func TestEndpoint(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "env:1")
	for _, test := range []struct {
		to   string
		tls  config.TLS
		want string
	}{
		{"a:1", config.TLS{Insecure: config.Auto}, "a:1"},
		{"a:1", config.TLS{Insecure: config.On}, "http://a:1"},
		{"a:1", config.TLS{Insecure: config.Off}, "https://a:1"},
		{"a:1", config.TLS{Insecure: config.Auto, CAFile: "/ca"}, "https://a:1"},
		{"https://a:1", config.TLS{Insecure: config.Auto}, "https://a:1"},
		{"", config.TLS{Insecure: config.On}, "http://env:1"},
	} {
		if got := endpoint(config.OTLP{Endpoint: test.to, TLS: test.tls}); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// A log in JSON is JSON to the end.
func TestErrorsAreToldInTheFormatOfTheLog(t *testing.T) {
	var h countHandler
	d := &daemon{log: slog.New(&h), config: config.Config{Log: config.Log{Format: config.JSON}}}
	if err := d.logError(errJoined()); err == nil || err.Error() != "" || h.n != 2 {
		t.Errorf("%q, %d lines", err, h.n)
	}
	d.config.Log.Format = config.Text
	if err := d.logError(errJoined()); err == nil || err.Error() != "a\nb" || h.n != 2 {
		t.Errorf("%q, %d lines", err, h.n)
	}
}
