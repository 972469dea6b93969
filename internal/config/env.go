// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// EnvPrefix is what the names of the variables begin with.
const EnvPrefix = "DWELL_"

// Variable returns the environment variable that overrides a setting: trace.ring_size is
// DWELL_TRACE_RING_SIZE.
func Variable(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment overrides settings of c by variables, given as [os.Environ] gives them. As
// everywhere in OpenTelemetry, an empty variable counts as not set. It returns warnings
// about variables that do not name a setting, because whoever set them believes that they
// do. They are only warnings, because the variables may belong to another program.
func (d *decoder) environment(environ []string, c *Config) (warnings []string) {
	all := settings(c)
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = Variable(s.path)
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || value == "" {
			continue
		}
		if i := slices.Index(names, name); i >= 0 {
			d.override(all[i], name, value)
		} else if !kubernetes.MatchString(name) {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s does not name a setting%s", name, meant(name, names)))
		}
	}
	return warnings
}

// kubernetes matches what the kubelet sets for a Service whose name is dwell or begins
// with dwell-:
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var kubernetes = regexp.MustCompile(`^DWELL_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// maxSlips is how many letters of a variable's name may be wrong.
const maxSlips = 2

// meant says what a variable's name was probably meant to be: with a slip, or without the
// sections before it.
func meant(name string, names []string) string {
	near := nearest(name, names)
	if near != "" && distance(name, near) > maxSlips {
		near = ""
	}
	if tail := strings.TrimPrefix(name, EnvPrefix); near == "" {
		for _, n := range names {
			if strings.HasSuffix(n, "_"+tail) {
				near = n
				break
			}
		}
	}
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}

func (d *decoder) override(s setting, variable, value string) {
	at := Origin{Variable: variable}
	if isList(s.value.Type()) {
		d.fail(at, s.path, "this list cannot be given by a variable; write it in the file")
		return
	}
	d.origins[s.path] = at
	d.forget(s.path)
	switch s.value.Kind() {
	case reflect.Slice:
		d.overrideList(s, at, value)
	case reflect.Map:
		d.overridePairs(s, at, value)
	default:
		if err := setText(s.value, value); err != nil {
			d.fail(at, s.path, "%v", err)
		}
	}
}

// forget drops what the file said of a setting, right or wrong.
func (d *decoder) forget(path string) {
	of := func(p string) bool {
		return p == path || strings.HasPrefix(p, path+"[") || strings.HasPrefix(p, path+".")
	}
	for p, at := range d.origins {
		if p != path && of(p) && at.Variable == "" {
			delete(d.origins, p)
		}
	}
}

// overrideList takes "a,b".
func (d *decoder) overrideList(s setting, at Origin, text string) {
	list := reflect.MakeSlice(s.value.Type(), 0, 0)
	for part := range strings.SplitSeq(text, ",") {
		element := reflect.New(s.value.Type().Elem()).Elem()
		if err := setText(element, strings.TrimSpace(part)); err != nil {
			d.fail(at, s.path, "%v", err)
		}
		list = reflect.Append(list, element)
	}
	s.value.Set(list)
}

// overridePairs takes "a=1,b=2", as OTEL_EXPORTER_OTLP_HEADERS.
func (d *decoder) overridePairs(s setting, at Origin, text string) {
	pairs := reflect.MakeMap(s.value.Type())
	for part := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(part), "=")
		element := reflect.New(s.value.Type().Elem()).Elem()
		if !found || setText(element, value) != nil {
			// What it is stays untold: it may be a secret.
			d.fail(at, s.path, "not a list of pairs; use name=value,name=value")
			continue
		}
		pairs.SetMapIndex(reflect.ValueOf(name), element)
	}
	s.value.Set(pairs)
}
