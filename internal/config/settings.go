// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// setting is one leaf of a Config.
type setting struct {
	path  string
	value reflect.Value
}

// settings returns all settings of c, in the order of the structs.
func settings(c *Config) []setting {
	return appendSettings(nil, "", reflect.ValueOf(c).Elem())
}

func appendSettings(list []setting, path string, v reflect.Value) []setting {
	if !isSection(v.Type()) {
		return append(list, setting{path, v})
	}
	for i := range v.NumField() {
		list = appendSettings(list, join(path, key(v.Type(), i)), v.Field(i))
	}
	return list
}

// isSection reports whether a type holds settings, instead of being one.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isList reports whether a type is a list of sections.
func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && isSection(t.Elem()) }

// key returns the name of a section's field.
func key(section reflect.Type, field int) string { return section.Field(field).Tag.Get("yaml") }

// keys returns the names of a section's fields.
func keys(section reflect.Type) []string {
	names := make([]string, section.NumField())
	for i := range names {
		names[i] = key(section, i)
	}
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// setText gives a single value.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text = strings.ToLower(text); text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s is too large", text)
		} else if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("a %v cannot be configured", v.Type()) // a mistake in config.go
	}
	return nil
}

// text returns a single value as setText takes it.
func text(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(v.Interface())
}
