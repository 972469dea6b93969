// SPDX-License-Identifier: Apache-2.0

package otelconfig

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// resource takes the attributes of all resources.
func (r *reader) resource(n *node) {
	if n == nil {
		return
	}
	var pairs []string
	if list := n.get("attributes_list"); list != nil && list.text != "" {
		pairs = append(pairs, list.text)
	}
	for i, a := range n.get("attributes").list() { // the later ones win
		at := fmt.Sprintf("resource.attributes[%d]", i)
		name, value := a.str("name"), a.get("value")
		a.get("type")
		switch {
		case value == nil || !listable(name):
			r.fail(a, at, "a name without , and =, and a value are required")
		case len(value.items) > 0:
			r.warn(a, at, "dwell has no attributes that are lists")
			value.useAll()
		default:
			pairs = append(pairs, name+"="+escape(value.text))
		}
	}
	r.set("OTEL_RESOURCE_ATTRIBUTES", strings.Join(pairs, ","))
}

// escape writes a text so that it can be a value of a list in a variable.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// listable reports whether a text can be a name of a list in a variable.
func listable(name string) bool { return name != "" && !strings.ContainsAny(name, ",=") }

// tracer takes where traces go, and which.
func (r *reader) tracer(n *node) {
	if n == nil {
		return
	}
	taken := false
	for i, p := range n.get("processors").list() {
		at := fmt.Sprintf("tracer_provider.processors[%d]", i)
		one := p.get("batch", "simple")
		if one == nil {
			continue
		}
		to := one.get("exporter")
		if r.otlp("TRACES", to, at, taken) {
			taken = true
		}
	}
	if s := n.get("sampler"); s != nil {
		r.sampler(s, "tracer_provider.sampler")
	}
}

// meter takes where metrics go, if they are pushed.
func (r *reader) meter(n *node) {
	taken := false
	for i, reader := range n.get("readers").list() {
		at := fmt.Sprintf("meter_provider.readers[%d]", i)
		if to := reader.get("periodic").get("exporter"); r.otlp("METRICS", to, at, taken) {
			taken = true
		}
	}
}

// sampler takes the ratio of traces that are sent.
func (r *reader) sampler(n *node, at string) {
	if root := n.get("parent_based"); root != nil {
		if of := root.get("root"); of != nil {
			r.sampler(of, at+".parent_based.root")
		}
		return // without a root it is always_on
	}
	switch {
	case n.get("always_on") != nil:
	case n.get("always_off") != nil:
		r.ratio("0")
	default:
		kind := n.get("trace_id_ratio_based", "probability/development")
		if kind == nil {
			return // it is named as unused
		}
		ratio := kind.get("ratio")
		if ratio == nil || ratio.text == "" {
			return
		}
		if v, err := strconv.ParseFloat(ratio.text, 64); err != nil || !(v >= 0 && v <= 1) {
			r.fail(ratio, at, "the ratio %q is not a number between 0 and 1", ratio.text)
			return
		}
		r.ratio(ratio.text)
	}
}

func (r *reader) ratio(text string) {
	r.set("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	r.set("OTEL_TRACES_SAMPLER_ARG", text)
}
