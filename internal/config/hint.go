// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// index matches the place of an element in a path.
var index = regexp.MustCompile(`\[\d+\]`)

// hint says what an unknown name was probably meant to be: the very name where it
// belongs, or one that looks like it here.
func (d *decoder) hint(path, name string, section reflect.Type) string {
	there := elsewhere(d.listOf(path), name)
	if there != "" && strings.Contains(name, ".") {
		return "; write it as " + strings.ReplaceAll(there, ".", ": {") + ": ..." + strings.Repeat("}", strings.Count(there, "."))
	}
	if meant := cmp.Or(there, nearest(name, keys(section))); meant != "" {
		return "; did you mean " + meant + "?"
	}
	what := "here"
	if path != "" {
		what = "below " + path
	}
	return fmt.Sprintf("; %s you can set: %s", what, strings.Join(keys(section), ", "))
}

// listOf returns what [Elements] begins the paths of settings with that stand in the same
// element of a list as path: "" if it is in none.
func (d *decoder) listOf(path string) string {
	path = join(d.of, index.ReplaceAllString(path, "[]"))
	if end := strings.LastIndex(path, "[]"); end >= 0 {
		return path[:end+len("[]")]
	}
	return ""
}

// elsewhere returns the path, after list, of a setting or section that has this name, or "".
func elsewhere(list, name string) string {
	fields := Fields()
	if list != "" {
		fields = Elements()
	}
	for _, f := range fields {
		path, in := strings.CutPrefix(f.Path, list)
		if in && strings.HasSuffix("."+path, "."+name) {
			return strings.TrimPrefix(path, ".")
		}
	}
	return ""
}
