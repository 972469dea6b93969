// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Every guard on the lists is where they say, so that they do not rot.
func TestGuardsAreThere(t *testing.T) {
	const top = "../../../.."
	list, err := mutations(top)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 120 {
		t.Errorf("only %d guards are on the lists", len(list))
	}
	dir := t.TempDir()
	t.Chdir(top)
	if err := copyTree(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		path := filepath.Join(dir, list[i].file)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := list[i].apply(t.Context(), dir); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(path, before, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
