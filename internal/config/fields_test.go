// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every setting is documented once, after its section, and nothing else is.
func TestEverySettingIsDocumented(t *testing.T) {
	var c Config
	var want []string
	section := map[string]bool{}
	for _, s := range settings(&c) {
		for i, r := range s.path {
			if r == '.' && !section[s.path[:i]] {
				section[s.path[:i]] = true
				want = append(want, s.path[:i])
			}
		}
		want = append(want, s.path)
	}
	var got []string
	for _, f := range Fields() {
		got = append(got, f.Path)
		if !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: %q is not a sentence", f.Path, f.Doc)
		}
		if section[f.Path] == (f.Example != "") {
			t.Errorf("%s: a setting has an example, a section has none", f.Path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented (-want +got):\n%s", diff)
	}
}

// An example can be set, and differs from the default.
func TestExamplesAreValid(t *testing.T) {
	for _, f := range Fields() {
		if f.Example == "" || strings.HasPrefix(f.Path, "export.otlp.tls.") || f.Path == "api.listen" || strings.Contains(f.Example, "${file:") {
			continue // they need each other, or files
		}
		parts := strings.Split(f.Path, ".")
		text := strings.Join(parts, ": {") + ": " + f.Example + strings.Repeat("}", len(parts)-1)
		loaded, err := Parse("f", []byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if reflect.DeepEqual(loaded.Config, Default()) {
			t.Errorf("%s: changes nothing", text)
		}
	}
}

// No two settings have the same variable.
func TestVariablesAreUnique(t *testing.T) {
	var c Config
	seen := map[string]string{}
	for _, s := range settings(&c) {
		v := Variable(s.path)
		if other := seen[v]; other != "" {
			t.Errorf("%s is of %s and %s", v, other, s.path)
		}
		seen[v] = s.path
	}
}

func TestEveryTypeHasAName(t *testing.T) {
	var c Config
	for _, s := range settings(&c) {
		name := typeName(s.value.Type())
		if name == "" || strings.HasSuffix(name, " of s") {
			t.Errorf("%s: %v has no name", s.path, s.value.Type())
		}
	}
}
