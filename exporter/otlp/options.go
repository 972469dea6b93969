// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Options says what is on every resource. The zero value is usable: what is empty is left
// out.
type Options struct {
	// Version of dwell: service.version and the version of the scope.
	Version string
	Host    Host
	// Environment overrides attributes of all resources.
	Environment Environment
	// Graph has spans hang and be of such kinds that backends draw which namespace leads to
	// which: what a journey passes in the next namespace hangs below the leaf that led there,
	// and no longer below the journey. Package otlpread reads what was written without it.
	Graph bool
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

// oneService reports whether all namespaces are the same service.
func (o *Options) oneService() bool {
	return slices.ContainsFunc(o.Environment, func(a Attribute) bool { return a.Key == trace.AttrServiceName && a.Value != "" })
}

// resource returns the attributes of one namespace, which may be nil. The namespace's
// own attributes are never overridden: two namespaces must not become one.
func (o *Options) resource(ns *trace.NetNS) []attribute {
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
		r.put(attribute{key: trace.AttrNetNS, isInt: true, int: int64(ns.Inode)})
		r.put(attribute{key: trace.AttrNetNSName, text: ns.Name})
		if ns.Hypervisor {
			r.put(attribute{key: trace.AttrNetNSRole, text: "hypervisor"})
		}
		r.container(ns.Container)
	}
	return r
}

// container puts what is known of the container that a namespace belongs to.
func (s *attributeSet) container(c *trace.Container) {
	if c == nil {
		return
	}
	s.set(trace.AttrContainerID, c.ID)
	s.set(trace.AttrContainerName, c.Name)
	s.set(trace.AttrContainerRuntime, c.Runtime)
	s.set(trace.AttrPodName, c.Pod.Name)
	s.set(trace.AttrPodNamespace, c.Pod.Namespace)
	s.set(trace.AttrPodUID, c.Pod.UID)
}

// attribute is one with a string or an integer.
type attribute struct {
	key, text string
	isInt     bool
	int       int64
}

func (a attribute) append(b []byte, field protowire.Number) []byte {
	if a.isInt {
		return appendIntAttribute(b, field, a.key, a.int)
	}
	return appendStringAttribute(b, field, a.key, a.text)
}

// attributeSet is a list without duplicate keys, as OTLP demands.
type attributeSet []attribute

// set puts a string attribute, unless the value is empty.
func (s *attributeSet) set(key, value string) {
	if value != "" {
		s.put(attribute{key: key, text: value})
	}
}

func (s *attributeSet) put(a attribute) {
	for i, old := range *s {
		if old.key == a.key {
			(*s)[i] = a
			return
		}
	}
	*s = append(*s, a)
}
