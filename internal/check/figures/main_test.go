// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, tree()); err != nil {
		t.Fatal(err)
	}
	// The nested module is one of its own if it is asked for.
	for at, want := range map[string]string{
		"cmd/m":          "module: example.org/m\npackages: 4\n",
		"internal/check": "module: example.org/m/internal/check\npackages: 1\n",
	} {
		var out strings.Builder
		t.Chdir(filepath.Join(dir, at))
		if err := run(nil, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), want) {
			t.Errorf("in %s: error %v, want %q at the beginning of\n%s", at, err, want, out.String())
		}
	}
	t.Chdir(os.TempDir())
	var out strings.Builder
	if err := run([]string{"--format", "json", dir}, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), "{") {
		t.Errorf("error %v, want JSON, got\n%s", err, out.String())
	}
}

func TestRunErrors(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--format", "html"}, `"html" is not a format: want text, markdown or json`},
		{[]string{"a", "b"}, `want one directory, got ["a" "b"]`},
		{[]string{empty}, empty + ": open go.mod: no such file or directory"},
	} {
		var out strings.Builder
		if err := run(c.args, &out, io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("run(%q) = %v, want %s", c.args, err, c.want)
		}
		if out.Len() > 0 {
			t.Errorf("run(%q) failed and wrote %q", c.args, out.String())
		}
	}
	if err := run([]string{"--help"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v, want %v", err, flag.ErrHelp)
	}
	if _, err := moduleRoot("/"); err == nil {
		t.Error("there is no module in /, and no error")
	}
}
