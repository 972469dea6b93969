// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A mistake is reported where it stands, whatever comes before it and beside it.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOfN(rapid.SampledFrom([]string{
			"", "# a comment: with a colon", "log:", "  # indented", "host: {name: a}", "---",
		}), 0, 6).Draw(t, "before")
		seen := map[string]bool{}
		var lines []string
		for _, line := range before {
			if line == "" || strings.Contains(line, "#") || !seen[line] && (line != "---" || len(lines) == 0) {
				lines = append(lines, line)
			}
			seen[line] = true
		}
		indent := rapid.IntRange(1, 9).Draw(t, "indent")
		space := rapid.IntRange(1, 5).Draw(t, "space")
		lines = append(lines, "trace:", strings.Repeat(" ", indent)+"timeout:"+strings.Repeat(" ", space)+"never")
		ending := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "ending")
		text := strings.Join(lines, ending) + rapid.SampledFrom([]string{"", ending, ending + "# end"}).Draw(t, "end")
		got := mistakes(t, text)
		checkMistakes(t, got, "trace.timeout")
		want := fmt.Sprintf("f:%d:%d", len(lines), indent+len("timeout:")+space+1)
		if len(got) == 1 && got[0].Origin.String() != want {
			t.Errorf("reported at %s, stands at %s:\n%s", got[0].Origin, want, text)
		}
	})
}

// All mistakes are reported in the order of the file, those of variables first.
func TestOrder(t *testing.T) {
	const text = "shutdown: {timeout: 0s}\nlog: {level: loud, format: xml}\ntrace:\n  ring_size: 1\n  timeout: 1\nx: 1\n"
	got := mistakes(t, text, "DWELL_SAMPLING_RATIO=2", "DWELL_METRICS_EXPIRE=1")
	var places []string
	for _, e := range got {
		places = append(places, e.Origin.String())
	}
	want := []string{"DWELL_METRICS_EXPIRE", "DWELL_SAMPLING_RATIO", "f:1:21", "f:2:14", "f:2:28", "f:4:14", "f:5:12", "f:6:1"}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A name given twice would hide one of the two.
func TestDuplicates(t *testing.T) {
	for text, want := range map[string]string{
		"trace: {timeout: 1s, timeout: 1s}\n":                                            "f:1:22",
		"trace:\n  timeout: 1s\nlog:\ntrace:\n  netns: [a]\n":                            "f:4:1",
		"export:\n  otlp:\n    headers:\n      a: b\n      a: c\n":                       "f:5:7",
		"export:\n  otlp: {endpoint: a}\n  otlp: {}\n":                                   "f:3:3",
		"export:\n  otlp:\n    headers: {\"a\": b, a: c}\n":                              "f:3:23",
		"metrics:\n  otlp:\n    enabled: true\n  prometheus:\n  otlp:\n    interval: 1s": "f:5:3",
	} {
		got := mistakes(t, text)
		if len(got) != 1 || got[0].Origin.String() != want || !strings.Contains(got[0].Problem, "already defined") {
			t.Errorf("%s: %v, want it at %s", text, got, want)
		}
	}
}

// Anchors, aliases, merges and tags are refused wherever they stand, instead of being
// half supported.
func TestNoReferencesInYAML(t *testing.T) {
	for text, want := range map[string]string{
		"trace: {timeout: &t 1s}\n":                               "f:1:18 trace.timeout",
		"trace: {netns: &n [a]}\n":                                "f:1:16 trace.netns",
		"trace: {netns: [&n a]}\n":                                "f:1:17 trace.netns[0]",
		"trace: {timeout: !!str 1s}\n":                            "f:1:18 trace.timeout",
		"trace: {netns: !!seq [a]}\n":                             "f:1:16 trace.netns",
		"trace: !!map {timeout: 1s}\n":                            "f:1:8 trace",
		"export: {otlp: {headers: &h {a: b}}}\n":                  "f:1:26 export.otlp.headers",
		"export: {otlp: {headers: {a: *h}}}\n":                    "f:1:30 export.otlp.headers.a",
		"trace:\n  <<: *base\n":                                   "f:2:3 trace",
		"&a trace: {timeout: 1s}\n":                               "f:1:1 ",
		"trace: {timeout: 1s}\nlog: &l {level: info}\nhttp: *l\n": "f:2:6 log, f:3:7 http",
	} {
		var places []string
		for _, e := range mistakes(t, text) {
			places = append(places, e.Origin.String()+" "+e.Path)
			if !strings.Contains(e.Problem, "not supported") {
				t.Errorf("%s: %v does not say why", text, e)
			}
		}
		if got := strings.Join(places, ", "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Names of other kinds than text, and values where there are none.
func TestShapes(t *testing.T) {
	for text, want := range map[string]string{
		"[a, b]: c\n":                       "",
		"? [a]\n: b\n":                      "",
		"trace: {[a]: b}\n":                 "",
		"1: 2\n":                            "1",
		"true: x\n":                         "true",
		"just text\n":                       "",
		"trace: [netns, timeout]\n":         "trace",
		"trace: {netns: {a: b}}\n":          "trace.netns",
		"trace: {netns: [[a]]}\n":           "trace.netns[0]",
		"trace: {netns: [null]}\n":          "trace.netns[0]",
		"trace: {netns: [{a: b}]}\n":        "trace.netns[0]",
		"export: {otlp: {headers: [a]}}\n":  "export.otlp.headers",
		"export: {otlp: {headers: a}}\n":    "export.otlp.headers",
		"export: {otlp: {headers: {a: }}}":  "export.otlp.headers.a",
		"export: {otlp: {headers: {a: []}}": "",
		"host: {id: {}}\n":                  "host.id",
	} {
		got := mistakes(t, text)
		if len(got) != 1 || got[0].Path != want {
			t.Errorf("%s: %v, want one at %q", text, got, want)
		}
	}
}

// The forms of text and of nothing that YAML has.
func TestForms(t *testing.T) {
	for _, name := range []string{"plain", `"quoted"`, "'quoted'", "|-\n    literal", ">-\n    folded", "|-\n    two words"} {
		c := parse(t, "host:\n  name: "+name+"\n").Config
		if want := strings.TrimSpace(strings.TrimLeft(name, ">|-\n")); c.Host.Name != strings.Trim(want, `"'`) {
			t.Errorf("%s is %q", name, c.Host.Name)
		}
	}
	for _, text := range []string{
		"trace: ~\n", "trace: null\n", "trace: {}\n", "trace: {netns: }\n", "trace: {netns: ~}\n", "--- # here\n", "{}\n",
		"trace:\n  timeout: # the default\n", "---\n...\n", "host: {name: ''}\n", "# only\n# comments\n", "log:\n---\n", "\ufeff# x\n", "log:\n---\n# after\n",
	} {
		if got := mistakes(t, text); len(got) > 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// What stands in another document is not lost in silence, not even behind an empty one,
// where the library stops to read.
func TestOneDocument(t *testing.T) {
	for text, want := range map[string]string{
		"log:\n---\nhttp: {listen: x}\n":      "f:3:1",
		"log:\n---\n---\nhttp: {listen: x}\n": "f:3:1",
		"---\n---\nlog: {level: debug}\n":     "f:2:1",
		"---\n# c\n\n---\nlog: {level: x}\n":  "f:4:1",
		"log:\n...\nhttp: {}\n":               "f:3:1",
		"--- {log: {level: debug}}\n---\n- a": "f:3:1",
	} {
		got := mistakes(t, text)
		if len(got) != 1 || got[0].Origin.String() != want || !strings.Contains(got[0].Problem, "second YAML document") {
			t.Errorf("%q: %v, want it at %s", text, got, want)
		}
	}
}

// No text makes the parser panic, and each mistake is one line that says where.
func TestAnyTextIsAnswered(t *testing.T) {
	pieces := []string{
		"trace", "timeout", "netns", ":", ": ", "- ", "[", "]", "{", "}", "\n", "\n  ", "\t", "|", ">", "&a", "*a", "!!x", "<<", "?", "\"", "'", "#", "1s", "---\n", "\r\n", "\ufeff", "\x00", "é", ",",
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 20).Draw(t, "pieces"), "")
		for _, e := range mistakes(t, text) {
			if e.Line < 0 || e.Column < 0 || e.File != "f" || e.Problem == "" || strings.ContainsAny(e.Error(), "\n\r") {
				t.Errorf("%q: %+v", text, e)
			}
		}
	})
}

// A key may have lines, and its mistake still is one line.
func TestKeyOfLines(t *testing.T) {
	got := mistakes(t, "|\n  ---\n:")
	if len(got) != 1 || !strings.HasPrefix(got[0].Error(), `f:1:1: "---\n": there is no such setting`) {
		t.Errorf("%v", got)
	}
}

// Nesting that takes the parser seconds is refused before it is parsed.
func TestDepth(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("[", 100000):               "f:1:257",
		"# {\n" + strings.Repeat("{a: ", 1000):    "f:2:1021",
		strings.Repeat("[", 256):                  "f:1:256",
		"a: [" + strings.Repeat("[],", 500) + "]": "f:1:1",
	} {
		got := mistakes(t, text)
		if len(got) != 1 || got[0].Origin.String() != want || strings.Contains(got[0].Problem, "nested too deeply") != (len(text) > 2000) {
			t.Errorf("%.40s...: %v, want it at %s", text, got, want)
		}
	}
}
