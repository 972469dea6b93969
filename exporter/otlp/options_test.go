// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func TestResources(t *testing.T) {
	host := map[string]any{"service.version": "1.2.3", "host.id": "abc", "host.name": "node-1"}
	netns := func(service, name, role string, inode int64, more map[string]any) map[string]any {
		m := map[string]any{
			"service.name": service, "dwell.netns.inode": inode, "dwell.netns.name": name,
		}
		if role != "" { // known of the hypervisor alone
			m["dwell.netns.role"] = role
		}
		for _, from := range []map[string]any{host, more} {
			for k, v := range from {
				m[k] = v
			}
		}
		return m
	}
	const guest, hypervisor = "dwell-bridge-guest", "dwell-bridge-hypervisor"
	for _, tt := range []struct {
		name, attributes, service string
		want                      []map[string]any
	}{
		{name: "each namespace is a service", want: []map[string]any{
			netns(guest, guest, "", 4026532201, nil),
			netns(hypervisor, hypervisor, "hypervisor", 4026532202, nil),
		}},
		{name: "service name", service: "net", want: []map[string]any{
			netns("net", guest, "", 4026532201, nil),
			netns("net", hypervisor, "hypervisor", 4026532202, nil),
		}},
		{name: "resource attributes", attributes: "service.name=a,team=blue%2Cgreen,host.name=other,dwell.netns.name=no", want: []map[string]any{
			netns("a", guest, "", 4026532201, map[string]any{"team": "blue,green", "host.name": "other"}),
			netns("a", hypervisor, "hypervisor", 4026532202, map[string]any{"team": "blue,green", "host.name": "other"}),
		}},
		{name: "the service name wins", attributes: "service.name=a", service: "b", want: []map[string]any{
			netns("b", guest, "", 4026532201, nil),
			netns("b", hypervisor, "hypervisor", 4026532202, nil),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", tt.attributes)
			t.Setenv("OTEL_SERVICE_NAME", tt.service)
			o := options
			var err error
			if o.Environment, err = otlp.FromEnvironment(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []map[string]any
			for _, rs := range otlp.Spans([]*trace.Trace{tracetest.Beyond(1), tracetest.Beyond(2)}, o) {
				got = append(got, values(t, rs.Resource.Attributes))
				if scope := rs.ScopeSpans[0].Scope; scope.Name != "github.com/dwelltrace/dwell" || scope.Version != "1.2.3" {
					t.Errorf("scope %v", scope)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromEnvironmentTellsWhatItCannotRead(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "a=1,nonsense")
	env, err := otlp.FromEnvironment(t.Context())
	if err == nil {
		t.Error("no error for an entry without value")
	}
	if diff := cmp.Diff(otlp.Environment{{Key: "a", Value: "1"}}, env); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEmptyOptionsWriteNoEmptyAttributes(t *testing.T) {
	for _, rs := range otlp.Spans([]*trace.Trace{tracetest.Beyond(1)}, otlp.Options{}) {
		for key, v := range values(t, rs.Resource.Attributes) {
			if v == "" {
				t.Errorf("%s is empty", key)
			}
		}
	}
}
