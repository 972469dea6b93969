// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// ReadOnly returns a directory on a file system that is mounted read-only, as after an error
// of the disk, until mend is called. It goes away with the test.
func ReadOnly(t testing.TB) (dir string, mend func()) {
	t.Helper()
	dir = Small(t, "16m")
	fd, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	set := func(a unix.MountAttr) {
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &a); err != nil {
			t.Error(err)
		}
	}
	set(unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	return filepath.Join(dir, "spool"), func() { set(unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}) }
}

// Full returns a directory on a disk on which something else takes all room, until mend is
// called. It goes away with the test.
func Full(t testing.TB) (dir string, mend func()) {
	t.Helper()
	dir = Small(t, "4m")
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 8<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return filepath.Join(dir, "spool"), func() {
		if err := os.Remove(other); err != nil {
			t.Error(err)
		}
	}
}
