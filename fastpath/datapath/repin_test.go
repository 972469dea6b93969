// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// What somebody has removed or unmounted is pinned again, and is the same.
func TestRepin(t *testing.T) {
	pin := filepath.Join(t.TempDir(), "bpf")
	d, err := Open(Options{Pin: pin, Tenant: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
		if err := unix.Unmount(pin, 0); err != nil {
			t.Error(err)
		}
	})
	pins := func() []string {
		all, err := filepath.Glob(d.Path("*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := pins()
	for what, act := range map[string]func() error{
		"nothing":   func() error { return nil },
		"a program": func() error { return os.Remove(d.Path(FromDrop)) },
		"a map":     func() error { return os.Remove(d.Path(plainMapPorts)) },
		"all":       func() error { return os.RemoveAll(filepath.Join(pin, layout)) },
		"mount":     func() error { return unix.Unmount(pin, unix.MNT_DETACH) },
	} {
		if err := act(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, want := range []bool{what != "nothing", false} {
			if repaired, err := d.Repin(); err != nil || repaired != want {
				t.Errorf("%s: repaired %v, %v", what, repaired, err)
			}
		}
		if after := pins(); !slices.Equal(before, after) {
			t.Errorf("%s: %q is pinned, want %q", what, after, before)
		}
	}
	again, err := Open(Options{Pin: pin, Tenant: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Renewed() {
		t.Error("other programs are pinned")
	}
}
