// SPDX-License-Identifier: Apache-2.0

package otelconfig

import (
	"strconv"
	"strings"
)

// otlp takes an endpoint, of which dwell has one for each signal, and reports whether there is
// one.
func (r *reader) otlp(signal string, exporter *node, at string, taken bool) bool {
	if exporter == nil {
		return false
	}
	protocol := "grpc"
	to := exporter.get("otlp_grpc")
	if to == nil {
		if to = exporter.get("otlp_http"); to != nil {
			protocol = "http/protobuf"
		} else if to = exporter.get("otlp"); to != nil { // before 0.4
			if named := to.str("protocol"); named != "" {
				protocol = named
			}
		}
	}
	switch {
	case to == nil:
		return false // it is named as unused
	case taken:
		r.warn(to, at, "dwell has one endpoint for these and takes the first")
		to.useAll()
		return false
	}
	r.endpoint("OTEL_EXPORTER_OTLP_"+signal+"_", protocol, to, at)
	return true
}

// useAll marks all of a value as used.
func (n *node) useAll() {
	n.used = true
	for _, e := range n.entries {
		e.value.useAll()
	}
	for _, item := range n.items {
		item.useAll()
	}
}

func (r *reader) endpoint(prefix, protocol string, to *node, at string) {
	address := to.str("endpoint")
	if address == "" {
		address = "http://localhost:4317"
		if protocol != "grpc" {
			path := "/v1/traces"
			if strings.Contains(prefix, "METRICS") {
				path = "/v1/metrics"
			}
			address = "http://localhost:4318" + path
		}
	}
	r.set(prefix+"PROTOCOL", protocol)
	r.set(prefix+"ENDPOINT", address)
	r.set(prefix+"HEADERS", r.headers(to, at))
	r.set(prefix+"COMPRESSION", to.str("compression"))
	if v := to.get("timeout"); v != nil && v.text != "" {
		if ms, err := strconv.ParseUint(v.text, 10, 31); err != nil {
			r.fail(v, at+".timeout", "%q is not a number of milliseconds", v.text)
		} else if ms > 0 { // 0 is without limit, which dwell does not have
			r.set(prefix+"TIMEOUT", v.text)
		}
	}
	tls := to.get("tls")
	r.set(prefix+"CERTIFICATE", first(tls.str("ca_file"), to.str("certificate_file", "certificate")))
	r.set(prefix+"CLIENT_CERTIFICATE", first(tls.str("cert_file"), to.str("client_certificate_file", "client_certificate")))
	r.set(prefix+"CLIENT_KEY", first(tls.str("key_file"), to.str("client_key_file", "client_key")))
	r.set(prefix+"INSECURE", first(tls.str("insecure"), to.str("insecure")))
	if encoding := to.get("encoding"); encoding != nil && encoding.text != "" && encoding.text != "protobuf" {
		r.warn(encoding, at+".encoding", "dwell has protobuf only, and sends that")
	}
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// headers returns those of headers_list and of headers, which wins, as a variable has them.
func (r *reader) headers(to *node, at string) string {
	var pairs []string
	if list := to.str("headers_list"); list != "" {
		pairs = append(pairs, list)
	}
	for _, h := range to.get("headers").list() {
		name, value := h.str("name"), h.get("value")
		if value == nil || !listable(name) {
			r.fail(h, at+".headers", "a name without , and =, and a value are required")
			continue
		}
		pairs = append(pairs, name+"="+escape(value.text))
	}
	return strings.Join(pairs, ",")
}
