// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What is there is replaced, and directories are made, since go generate may be run in a
// tree where the pages were deleted.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs", "new", "page.md")
	for _, text := range []string{"a longer text", "short"} {
		if err := write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := write(filepath.Join(path, "below"), nil); err == nil {
		t.Error("no error where a file stands in the place of a directory")
	}
	if err := write(filepath.Dir(path), nil); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory in the place of the file: %v", err)
	}
}
