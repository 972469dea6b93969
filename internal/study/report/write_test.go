// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

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
