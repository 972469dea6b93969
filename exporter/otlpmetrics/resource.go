// SPDX-License-Identifier: Apache-2.0

package otlpmetrics

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// serviceName is that of the agent; the namespaces that it traces are other services.
const serviceName = "dwell"

// serviceInstanceID is OpenTelemetry's: one agent runs on a host.
const serviceInstanceID = "service.instance.id"

// resource says who counts. The environment wins, as on the resources of traces.
func (o Options) resource() *resource.Resource {
	r := o.OTLP
	kvs := []attribute.KeyValue{attribute.String(trace.AttrServiceName, serviceName)}
	for _, a := range []struct{ key, value string }{
		{trace.AttrServiceVersion, r.Version},
		{serviceInstanceID, r.Host.ID},
		{trace.AttrHostID, r.Host.ID},
		{trace.AttrHostName, r.Host.Name},
	} {
		if a.value != "" {
			kvs = append(kvs, attribute.String(a.key, a.value))
		}
	}
	for _, a := range r.Environment {
		kvs = append(kvs, attribute.String(a.Key, a.Value))
	}
	return resource.NewSchemaless(kvs...) // of two with one key the latter counts
}
