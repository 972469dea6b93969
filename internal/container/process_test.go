// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// All of a file is read, however long it is.
func TestRead(t *testing.T) {
	for _, n := range []int{0, 1, usualBytes - 1, usualBytes, usualBytes + 1, 5 * usualBytes} {
		path := filepath.Join(t.TempDir(), "file")
		want := bytes.Repeat([]byte{'a', 'b', 'c'}, n)[:n]
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, %v", len(got), n, err)
		}
	}
	if _, err := read("/nowhere/at/all"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := read(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}
