// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// journey is one trace as a backend would show it.
type journey struct {
	from, to  string // the root span's addresses
	outcome   string
	resources []map[string]any
	devices   []string // network.interface.name of the spans
	kinds     []string // dwell.kind of the spans
	tenants   []string // dwell.tenant.id of the spans, each once
	nat       bool     // an address was rewritten on the way
}

// readJourneys reads what dwell has written so far. A line that is not finished yet is
// left for the next time.
func readJourneys(path string) ([]*journey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byID := map[pcommon.TraceID]*journey{}
	var order []*journey
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var unmarshal ptrace.JSONUnmarshaler
		traces, err := unmarshal.UnmarshalTraces(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, rs := range traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					j := byID[span.TraceID()]
					if j == nil {
						j = &journey{}
						byID[span.TraceID()] = j
						order = append(order, j)
					}
					j.add(rs.Resource(), span)
				}
			}
		}
	}
	return order, nil
}

func (j *journey) add(resource pcommon.Resource, span ptrace.Span) {
	j.resources = append(j.resources, resource.Attributes().AsRaw())
	if span.ParentSpanID().IsEmpty() {
		j.from, j.to = text(span.Attributes(), "source.address"), text(span.Attributes(), "destination.address")
		j.outcome = text(span.Attributes(), "dwell.outcome")
	}
	if device := text(span.Attributes(), "network.interface.name"); device != "" {
		j.devices = append(j.devices, device)
	}
	if tenant := text(span.Attributes(), "dwell.tenant.id"); tenant != "" && !slices.Contains(j.tenants, tenant) {
		j.tenants = append(j.tenants, tenant)
	}
	j.kinds = append(j.kinds, text(span.Attributes(), "dwell.kind"))
	for _, event := range span.Events().All() {
		j.nat = j.nat || event.Name() == "nat"
	}
}

func text(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

// has reports whether a span is of a resource with this attribute.
func (j *journey) has(key, value string) bool {
	return slices.ContainsFunc(j.resources, func(r map[string]any) bool { return r[key] == value })
}

// String is for a person who has to find out what is wrong.
func (j *journey) String() string {
	var names []string
	for _, r := range j.resources {
		if name := fmt.Sprint(r["service.name"]); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return fmt.Sprintf("%s -> %s (%s): services %s; devices %s; tenants %s", j.from, j.to, j.outcome,
		strings.Join(names, " "), strings.Join(slices.Compact(j.devices), " "), strings.Join(j.tenants, " "))
}
