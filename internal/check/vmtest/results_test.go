// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestJudge(t *testing.T) {
	const (
		pass   = `{"Action":"pass","Package":"p"}`
		skips  = `{"Action":"skip","Package":"p","Test":"T"}`
		tooOld = `{"Action":"attr","Package":"p","Test":"T","Key":"` + privilegetest.TooOld + `","Value":"6.1.0"}`
	)
	for name, tt := range map[string]struct {
		lines []string
		want  string // in the error; "" is none
	}{
		"passed":                   {[]string{pass}, ""},
		"failed":                   {[]string{`{"Action":"fail","Package":"p"}`}, "p: fail"},
		"has no tests":             {[]string{`{"Action":"skip","Package":"p"}`}, "p: skip"},
		"not ended":                {[]string{`{"Action":"pass","Package":"p","Test":"T"}`}, "p: not run to its end"},
		"another passed":           {[]string{`{"Action":"pass","Package":"q"}`}, "p: not run to its end"},
		"skipped, too old":         {[]string{tooOld, skips, pass}, ""},
		"skipped, another too old": {[]string{strings.ReplaceAll(tooOld, `"T"`, `"S"`), skips, pass}, "T skipped"},
		"skipped":                  {[]string{skips, pass}, "T skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, told bytes.Buffer
			r := &results{out: &out}
			in := "Booting from ROM...\r\n" + strings.Join(tt.lines, "\n") + "\n" + endMark + "\n"
			if err := r.read(strings.NewReader(in), &told); err != nil || told.Len() != 1 {
				t.Fatalf("%v, told the machine %q", err, &told)
			}
			if want := strings.Join(tt.lines, "\n") + "\n"; out.String() != want {
				t.Errorf("passed on %q, want %q", &out, want)
			}
			err := r.judge(job{Tests: []command{{Package: "p"}}})
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	got := choose([]string{"./bpf/", "internal/check/roads"})
	if len(got) != 2 || got[0].dir != "bpf" || got[1].dir != "internal/check/roads" {
		t.Errorf("got %v", got)
	}
	if all := choose(nil); len(all) != len(suites()) {
		t.Errorf("without packages, %d suites of %d", len(all), len(suites()))
	}
}

// A test that was renamed would run again, and nobody would know why.
func TestSuitesNameTests(t *testing.T) {
	for _, s := range suites() {
		var source strings.Builder
		files, err := filepath.Glob(filepath.Join("../../..", s.dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", s.dir, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(b)
		}
		for _, name := range s.not {
			if !regexp.MustCompile(`func ` + name + `\(t \*testing\.T\)`).MatchString(source.String()) {
				t.Errorf("%s has no test %s", s.dir, name)
			}
		}
	}
}
