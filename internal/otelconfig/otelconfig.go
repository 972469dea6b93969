// SPDX-License-Identifier: Apache-2.0

// Package otelconfig reads OpenTelemetry's declarative configuration, the file that
// OTEL_CONFIG_FILE names
// (https://opentelemetry.io/docs/specs/otel/configuration/data-model/), and says the same
// with OpenTelemetry's variables, which every part of dwell that sends something reads.
//
// As the specification demands, the file is then all that counts: variables have an effect
// only where the file refers to them. What dwell has no use for is named in a warning, because
// whoever wrote it believes that it does something.
//
// The parser of OpenTelemetry's own module (go.opentelemetry.io/contrib/otelconf) is not used:
// it brings the SDKs of three clouds and a client of Kubernetes into a privileged program, and
// forgets where a value stood and which names it did not know.
package otelconfig

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Variable names the file.
const Variable = "OTEL_CONFIG_FILE"

// prefix is that of all variables that the file takes the place of.
const prefix = "OTEL_"

// File is what a file says.
type File struct {
	// Variables say the same as the file: NAME=value. Ignored are the names of those that are
	// set and do not count.
	Variables, Ignored []string
	// Warnings are about what dwell does not use, with file, line and column.
	Warnings []string
}

// maxFile is far more than a configuration is.
const maxFile = 1 << 20

// Read reads the file that the environment names, which is given as [os.Environ] gives it. It
// returns nil if none is named. The error says what to mend, with line and column.
func Read(environ []string) (*File, error) {
	name := lookup(environ)(Variable)
	if name == "" {
		return nil, nil //nolint:nilnil // no file is not an error
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: %s is larger than 1 MiB; is it the right one?", Variable, name)
	}
	return Parse(name, text, environ)
}

// Apply has the file take the place of all of OpenTelemetry's variables in this process. It is
// for the start, when nothing else runs that reads them.
func (f *File) Apply() error {
	for _, name := range f.Ignored {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	for _, entry := range f.Variables {
		name, value, _ := strings.Cut(entry, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// ignored returns the names of OpenTelemetry's variables that are set, in order, and warns of
// those to which the file does not refer either.
func (r *reader) ignored(environ []string, referred map[string]bool) (names []string) {
	var lost []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || name == Variable {
			continue
		}
		names = append(names, name)
		if value != "" && !referred[name] {
			lost = append(lost, name)
		}
	}
	slices.Sort(names)
	if len(lost) > 0 {
		slices.Sort(lost)
		r.warnings = append(r.warnings, fmt.Sprintf("%s takes the place of %s; refer to them in the file, as ${%s}, if they are to count",
			Variable, strings.Join(lost, ", "), lost[0]))
	}
	return names
}

// lookup returns the value of a variable, or "".
func lookup(environ []string) func(name string) string {
	return func(name string) string {
		for _, entry := range environ {
			if n, value, _ := strings.Cut(entry, "="); n == name {
				return value
			}
		}
		return ""
	}
}

// formats are the versions whose names are known.
var formats = regexp.MustCompile(`^(0\.[34]|1\.[0-9]+)(\.[0-9]+)?(-rc\.?[0-9]*)?$`)

// reader collects what a file says.
type reader struct {
	file      string
	variables []string
	warnings  []string
	errs      []error
}

// Parse is Read of a text; file is for messages.
func Parse(file string, text []byte, environ []string) (*File, error) {
	referred, get := map[string]bool{}, lookup(environ)
	root, err := parse(file, text, func(name string) string {
		referred[name] = true
		return get(name)
	})
	if err != nil {
		return nil, err
	}
	r := &reader{file: file}
	out := &File{Ignored: r.ignored(environ, referred)}
	if format := root.get("file_format"); format == nil || !formats.MatchString(format.text) {
		return nil, fmt.Errorf("%s: file_format is missing, or is none that dwell knows: 0.3, 0.4 and 1.x", root.at(file))
	}
	if off := root.get("disabled"); off != nil && strings.EqualFold(off.text, "true") {
		r.warn(off, "disabled", "nothing else in this file has an effect")
		out.Warnings = r.warnings
		return out, nil
	}
	r.resource(root.get("resource"))
	r.tracer(root.get("tracer_provider"))
	r.meter(root.get("meter_provider"))
	r.unused(root, "")
	if len(r.errs) > 0 {
		return nil, joined(r.errs)
	}
	out.Variables, out.Warnings = r.variables, r.warnings
	return out, nil
}

func (r *reader) set(name, value string) {
	if value != "" {
		r.variables = append(r.variables, name+"="+value)
	}
}

func (r *reader) warn(n *node, path, problem string) {
	r.warnings = append(r.warnings, fmt.Sprintf("%s: %s: %s", n.at(r.file), path, problem))
}

func (r *reader) fail(n *node, path, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s: %s", n.at(r.file), path, fmt.Sprintf(format, args...)))
}

// instead says what to write instead, by the last name of a path.
var instead = map[string]string{
	"log_level":             "; set log.level in dwell's own file",
	"schedule_delay":        "; set export.queue.delay in dwell's own file",
	"max_queue_size":        "; set export.queue.spans in dwell's own file",
	"max_export_batch_size": "; set export.queue.batch_spans in dwell's own file",
	"export_timeout":        "; set the exporter's timeout",
	"interval":              "; set metrics.otlp.interval in dwell's own file",
	"limits":                ": it sends all attributes whole",
	"attribute_limits":      ": it sends all attributes whole",
}

// unused warns of everything that nobody has asked for, once for all that is below it.
func (r *reader) unused(n *node, path string) {
	if !n.anyUsed() {
		r.warn(n, path, "dwell does not use this"+instead[path[strings.LastIndexByte(path, '.')+1:]])
		return
	}
	for _, e := range n.entries {
		at := e.key
		if path != "" {
			at = path + "." + e.key
		}
		r.unused(e.value, at)
	}
	for i, item := range n.items {
		r.unused(item, fmt.Sprintf("%s[%d]", path, i))
	}
}
