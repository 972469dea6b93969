// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// contents maps the files of a directory to what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

// Each form has its name, and is what its function writes.
func TestFiles(t *testing.T) {
	files, err := report.Files(fixed())
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name  string
		write func(io.Writer, *bench.Result) error
	}{
		{"bench.json", report.JSON},
		{"bench.csv", report.CSV},
		{"bench.md", report.Markdown},
		{"bench.svg", report.SVG},
		{"bench.png", report.PNG},
		{"report.html", report.HTML},
	}
	if len(files) != len(want) {
		t.Fatalf("%d files", len(files))
	}
	for i, w := range want {
		if files[i].Name != w.name || string(files[i].Data) != render(t, w.write, fixed()) {
			t.Errorf("%s is not %s, or has something else in it", files[i].Name, w.name)
		}
	}
}

// What is written can be read by others than who ran the study, as a report is for
// them, whatever CreateTemp gives its files.
func TestModesOfFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "report")
	if err := report.Write(t.Context(), dir, []report.File{{Name: "a"}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
}

// No form hides that its writer failed.
func TestEveryFormToFullDisk(t *testing.T) {
	for name, write := range map[string]func(io.Writer, *bench.Result) error{
		"JSON": report.JSON, "CSV": report.CSV, "Markdown": report.Markdown, "SVG": report.SVG, "PNG": report.PNG, "HTML": report.HTML, "text": wide,
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(full, fixed()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
		full.Close()
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "report")
	for _, text := range []string{"first", "second"} {
		if err := report.Write(t.Context(), dir, []report.File{{Name: "a", Data: []byte(text)}, {Name: "b", Data: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"a": text, "b": text}, contents(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// What is interrupted or fails leaves the earlier report as it was, and nothing else.
func TestWriteAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	old := []report.File{{Name: "a", Data: []byte("old")}}
	if err := report.Write(t.Context(), dir, old); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("interrupted by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := report.Write(ctx, dir, []report.File{{Name: "a", Data: []byte("new")}}); !errors.Is(err, cause) {
		t.Errorf("interrupted: %v", err)
	}
	bad := []report.File{{Name: "a", Data: []byte("new")}, {Name: "no/such", Data: []byte("x")}}
	if err := report.Write(t.Context(), dir, bad); err == nil {
		t.Error("no error for a bad name")
	}
	if diff := cmp.Diff(map[string]string{"a": "old"}, contents(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := report.Write(t.Context(), filepath.Join(dir, "a"), old); err == nil {
		t.Error("no error where the directory is a file")
	}
}
