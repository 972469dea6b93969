// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// YAML returns the configuration as a file that Load reads back. Values that refer to
// something kept elsewhere stay references.
func (c Config) YAML() []byte {
	var w yamlWriter
	w.section(reflect.ValueOf(c), "")
	return w.b.Bytes()
}

// Example returns a file in which every setting is a comment, with its default, below its
// description.
func Example() []byte {
	w := yamlWriter{docs: map[string]Field{}}
	for _, f := range Fields() {
		w.docs[f.Path] = f
	}
	w.b.WriteString(exampleHead)
	w.section(reflect.ValueOf(Default()), "")
	return w.b.Bytes()
}

const exampleHead = `# SPDX-License-Identifier: Apache-2.0
#
# Configuration of dwell agent. Every setting is listed with its default, commented out:
# remove the # to change one. An environment variable overrides each setting, for example
# DWELL_EXPORT_OTLP_ENDPOINT. Check a change with dwell agent --config FILE --check; a
# running agent applies it on SIGHUP.
`

// plainText makes Markdown what a comment says.
var plainText = strings.NewReplacer("`", "", "[metrics.md](metrics.md)", "docs/metrics.md",
	"[Tenants in a directory](#tenants-in-a-directory)", "docs/configuration.md", "[fastpath.md](fastpath.md)", "docs/fastpath.md", "[Sampling](metrics.md#sampling)", "docs/metrics.md", "[probes.md](probes.md)", "docs/probes.md")

// width is where comments are wrapped.
const width = 118

type yamlWriter struct {
	b bytes.Buffer
	// docs, if set, are written above the settings, and those are commented out.
	docs map[string]Field
}

func (w *yamlWriter) section(v reflect.Value, path string) {
	indent := ""
	if path != "" {
		indent = strings.Repeat("  ", strings.Count(path, ".")+1)
	}
	for i := range v.NumField() {
		name, value := key(v.Type(), i), v.Field(i)
		at := join(path, name)
		if w.docs != nil && path == "" {
			w.b.WriteByte('\n')
		}
		w.comment(indent, at)
		switch {
		case isSection(value.Type()):
			fmt.Fprintf(&w.b, "%s%s:\n", indent, name)
			w.section(value, at)
		case w.docs != nil:
			w.commented(indent, at, value)
		default:
			fmt.Fprintf(&w.b, "%s%s: %s\n", indent, name, flowStyle(value))
		}
	}
}

// comment writes what a setting means.
func (w *yamlWriter) comment(indent, path string) {
	if w.docs != nil {
		w.wrapped(indent+"#", w.docs[path].Doc)
	}
}

// wrapped writes a text in lines that begin so.
func (w *yamlWriter) wrapped(begin, doc string) {
	line := begin
	for word := range strings.FieldsSeq(plainText.Replace(doc)) {
		if len(line)+1+len(word) > width {
			w.b.WriteString(line + "\n")
			line = begin
		}
		line += " " + word
	}
	w.b.WriteString(line + "\n")
}

// commented writes a setting as a comment: its default or, if its elements are documented
// one by one, an example.
func (w *yamlWriter) commented(indent, path string, value reflect.Value) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if len(elementsOf(path)) == 0 {
		fmt.Fprintf(&w.b, "%s#%s: %s\n", indent, name, flowStyle(value))
		return
	}
	fmt.Fprintf(&w.b, "%s#%s:\n", indent, name)
	w.elements(path)
}

// elements writes the settings that each element of a list has, as comments.
func (w *yamlWriter) elements(list string) {
	before := "#  - "
	for _, f := range elementsOf(list) {
		path := strings.TrimPrefix(f.Path, list+"[].")
		depth := strings.Repeat("  ", strings.Count(path, "."))
		name := path[strings.LastIndexByte(path, '.')+1:]
		w.wrapped("#    "+depth+"#", f.Doc)
		fmt.Fprintf(&w.b, "%s%s%s\n", before, depth, strings.TrimSuffix(name+": "+f.Example, " "))
		before = "#    "
	}
}

// flowStyle returns a value on one line.
func flowStyle(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = flowStyle(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case isSection(v.Type()):
		parts := make([]string, v.NumField())
		for i := range parts {
			parts[i] = key(v.Type(), i) + ": " + flowStyle(v.Field(i))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case v.Kind() == reflect.Map:
		pairs := map[string]string{}
		for _, k := range v.MapKeys() {
			pairs[k.String()] = flowStyle(v.MapIndex(k))
		}
		parts := make([]string, 0, len(pairs))
		for _, k := range slices.Sorted(maps.Keys(pairs)) {
			parts = append(parts, quote(k)+": "+pairs[k])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case bare(v):
		return text(v)
	}
	return quote(text(v))
}

// bare reports whether values of a type need no quotes, whatever they are.
func bare(v reflect.Value) bool {
	switch v.Interface().(type) {
	case Duration, Size, Rate, Port, Level, Format, Switch, Root, Place, Protocol, Compression, IPTables, UserID, bool, int, float64:
		return true
	}
	return false
}

// quote returns a double-quoted scalar; YAML's are JSON's.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // a string cannot fail to be encoded
	}
	return strings.TrimSpace(b.String())
}
