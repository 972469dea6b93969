// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// File is one form of the report.
type File struct {
	Name string
	Data []byte
}

// Files returns every form of the report.
func Files(r *bench.Result) ([]File, error) {
	var files []File
	for _, f := range []struct {
		name  string
		write func(io.Writer, *bench.Result) error
	}{
		{"bench.json", JSON},
		{"bench.csv", CSV},
		{"bench.md", Markdown},
		{"bench.svg", SVG},
		{"bench.png", PNG},
		{"report.html", HTML},
	} {
		var b bytes.Buffer
		if err := f.write(&b, r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		files = append(files, File{f.name, b.Bytes()})
	}
	return files, nil
}

// JSON writes the result itself, indented.
func JSON(w io.Writer, r *bench.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Write writes the files into dir, which it makes if need be. Each appears whole or
// not at all, and none if ctx is done before all of them are on disk under other
// names.
func Write(ctx context.Context, dir string, files []File) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temporary := map[string]string{} // by final path
	defer func() {
		for _, t := range temporary {
			err = errors.Join(err, os.Remove(t))
		}
	}()
	for _, f := range files {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		t, err := writeTemporary(dir, f)
		if t != "" {
			temporary[filepath.Join(dir, f.Name)] = t
		}
		if err != nil {
			return err
		}
	}
	for _, f := range files {
		final := filepath.Join(dir, f.Name)
		if err := os.Rename(temporary[final], final); err != nil {
			return err
		}
		delete(temporary, final)
	}
	return nil
}

// writeTemporary writes the file under another name, which it returns as soon as
// there is something to remove.
func writeTemporary(dir string, f File) (string, error) {
	t, err := os.CreateTemp(dir, "."+f.Name+".*")
	if err != nil {
		return "", err
	}
	_, err = t.Write(f.Data)
	if err == nil {
		err = t.Chmod(0o644)
	}
	return t.Name(), errors.Join(err, t.Close())
}
