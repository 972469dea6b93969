// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

// file is the text of a file that gives one setting, all on one line.
func file(path, value string) string {
	sections := strings.Split(path, ".")
	return strings.Join(sections, ": {") + ": " + value + strings.Repeat("}", len(sections)-1) + "\n"
}

// parse reads a text that has nothing wrong with it.
func parse(t rapid.TB, text string, environ ...string) *config.Loaded {
	t.Helper()
	loaded, err := config.Parse("f", []byte(text), environ)
	if err != nil {
		t.Fatalf("%v\nin %s%v", err, text, environ)
	}
	return loaded
}

// mistakes returns what is wrong with a text, in the order in which it is reported.
func mistakes(t rapid.TB, text string, environ ...string) []*config.Error {
	t.Helper()
	_, err := config.Parse("f", []byte(text), environ)
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is not a list of errors: %[1]v", err)
	}
	var all []*config.Error
	for _, err := range joined.Unwrap() {
		var e *config.Error
		if !errors.As(err, &e) {
			t.Fatalf("%T is not about a place in the configuration: %[1]v", err)
		}
		all = append(all, e)
	}
	return all
}

// checkMistakes fails unless exactly the settings of these paths are wrong.
func checkMistakes(t rapid.TB, got []*config.Error, paths ...string) {
	t.Helper()
	var wrong []string
	for _, e := range got {
		wrong = append(wrong, e.Path)
	}
	if !slices.Equal(wrong, paths) {
		t.Errorf("wrong are %q, want %q: %v", wrong, paths, got)
	}
}

// at returns the value of a setting by its path.
func at(t rapid.TB, c *config.Config, path string) reflect.Value {
	t.Helper()
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(path, ".") {
		i := 0
		for i < v.NumField() && v.Type().Field(i).Tag.Get("yaml") != name {
			i++
		}
		if i == v.NumField() {
			t.Fatalf("there is no %s in %s", name, path)
		}
		v = v.Field(i)
	}
	return v
}

// documented returns the documentation of every setting, sections left out.
func documented() []config.Field {
	return slices.DeleteFunc(config.Fields(), func(f config.Field) bool { return f.Example == "" })
}

var errTest = errors.New("from the test")
