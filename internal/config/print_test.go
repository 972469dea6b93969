// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

func TestDefaultIsPrintedAndReadBack(t *testing.T) {
	loaded, err := config.Parse("f", config.Default().YAML(), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, config.Default().YAML())
	}
	checkSame(t, loaded.Config, config.Default())
}

// The example, with every setting uncommented, is the default, too.
func TestExampleHasTheDefaults(t *testing.T) {
	text := regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`).ReplaceAllString(string(config.Example()), "$1$2")
	loaded, err := config.Parse("f", []byte(text), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	checkSame(t, loaded.Config, config.Default())
	if n := strings.Count(text, "\n"); n == strings.Count(string(config.Default().YAML()), "\n") {
		t.Error("no comments")
	}
}

func TestWhatIsPrintedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		text := string(c.YAML())
		loaded := parse(t, text)
		checkSame(t, loaded.Config, c)
		if again := string(loaded.YAML()); again != text {
			t.Errorf("printed again it is\n%s\nwas\n%s", again, text)
		}
	})
}

// Headers are printed as they were written, in the order of their names.
func TestHeadersArePrintedAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		written := rapid.MapOfN(rapid.StringMatching(`[a-f0-9_.-]{1,8}`), rapid.SampledFrom([]string{
			"${env:A}", "$$", "a: b", "#x", "<&>", "é", "'\"", "-", "true", "1e3", "",
		}), 0, 5).Draw(t, "headers")
		var pairs []string
		for name, value := range written {
			pairs = append(pairs, strconv.Quote(name)+": "+strconv.Quote(value))
		}
		loaded := parse(t, "export: {otlp: {headers: {"+strings.Join(pairs, ", ")+"}}}", "A=a")
		again := parse(t, string(loaded.YAML()), "A=a")
		checkSame(t, again.Config, loaded.Config)
		slices.Sort(pairs)
		if want := "    headers: {" + strings.Join(pairs, ", ") + "}\n"; !strings.Contains(string(loaded.YAML()), want) {
			t.Errorf("printed without %s:\n%s", want, loaded.YAML())
		}
	})
}

func checkSame(t rapid.TB, got, want config.Config) {
	t.Helper()
	normalise(&got)
	normalise(&want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v\nwas %+v", got, want)
	}
}

// normalise makes empty and missing lists the same.
func normalise(c *config.Config) { missing(reflect.ValueOf(c).Elem()) }

func missing(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				missing(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			v.SetZero()
		}
		if v.Kind() == reflect.Slice {
			for i := range v.Len() {
				missing(v.Index(i))
			}
		}
	default:
	}
}

func TestTexts(t *testing.T) {
	for text, want := range map[string]time.Duration{"1m": time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute, "1m1s": 61 * time.Second, "0s": 0} {
		got, err := config.Duration(want).MarshalText()
		if err != nil || string(got) != text {
			t.Errorf("%v is %s, %v", want, got, err)
		}
	}
	for text, want := range map[string]config.Size{"1KiB": 1024, "1000": 1000, "0": 0, "3MiB": 3 << 20, "2GiB": 2 << 30} {
		got, err := want.MarshalText()
		if err != nil || string(got) != text {
			t.Errorf("%d is %s, %v", want, got, err)
		}
	}
}

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for file, want := range map[string][]byte{
		"../../docs/configuration.md":     config.Page(),
		"../../examples/agent/dwell.yaml": config.Example(),
	} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the code says; run go generate ./internal/config (-want +got):\n%s", file, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add("trace: &a [*a, {b: c}]\n")
	f.Add("a: |\n  b\n? c\n: d\n")
	f.Fuzz(func(t *testing.T, text string) {
		loaded, err := config.Parse("f", []byte(text), []string{"TOKEN=x"})
		if err != nil {
			return
		}
		again, err := config.Parse("f", loaded.YAML(), []string{"TOKEN=x"})
		if err != nil {
			t.Fatalf("%v\n%s", err, loaded.YAML())
		}
		checkSame(t, again.Config, loaded.Config)
	})
}
