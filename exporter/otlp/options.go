// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/sdk/resource"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Options says what stands on every resource. The zero value is usable: what is
// empty is left out.
type Options struct {
	// Version of dwell: service.version and the version of the scope.
	Version string
	Host    Host
	// Environment overrides attributes of all resources.
	Environment Environment
}

// Host is the machine whose namespaces are traced.
type Host struct {
	// ID is the machine ID (see machine-id(5)).
	ID   string
	Name string
}

// Environment holds resource attributes that the user set from outside.
type Environment []Attribute

// Attribute is a resource attribute. Those from the environment are all strings.
type Attribute struct{ Key, Value string }

// FromEnvironment reads OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME as the
// OpenTelemetry specification says; the latter wins over a service.name in the
// former. What could be read is returned even if there is an error.
func FromEnvironment(ctx context.Context) (Environment, error) {
	res, err := resource.New(ctx, resource.WithFromEnv())
	if err != nil {
		err = fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	var env Environment
	for _, kv := range res.Attributes() {
		env = append(env, Attribute{string(kv.Key), kv.Value.AsString()})
	}
	return env, err
}

// resource makes the resource of one namespace, which may be nil. The namespace's
// own attributes are never overridden: two namespaces must not become one.
func (o *Options) resource(ns *trace.NetNS) []*commonpb.KeyValue {
	var r attributeSet
	r.set(trace.AttrServiceVersion, o.Version)
	r.set(trace.AttrHostID, o.Host.ID)
	r.set(trace.AttrHostName, o.Host.Name)
	if ns != nil {
		r.set(trace.AttrServiceName, ns.Name)
	}
	for _, a := range o.Environment {
		r.set(a.Key, a.Value)
	}
	if ns != nil {
		r.put(intValue(trace.AttrNetNS, int64(ns.Inode)))
		r.put(stringValue(trace.AttrNetNSName, ns.Name))
		if ns.Hypervisor {
			r.put(stringValue(trace.AttrNetNSRole, "hypervisor"))
		}
	}
	return r
}

// attributeSet is a list without duplicate keys, as OTLP demands.
type attributeSet []*commonpb.KeyValue

// set puts a string attribute, unless the value is empty.
func (s *attributeSet) set(key, value string) {
	if value != "" {
		s.put(stringValue(key, value))
	}
}

func (s *attributeSet) put(kv *commonpb.KeyValue) {
	for i, old := range *s {
		if old.Key == kv.Key {
			(*s)[i] = kv
			return
		}
	}
	*s = append(*s, kv)
}

func stringValue(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func intValue(key string, value int64) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
}
