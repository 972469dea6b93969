// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Create makes a namespace, mounts it at /run/netns/name and opens it. If it
// fails, nothing is left; if the process is killed in the middle, at most a file
// that [Delete] removes. It needs CAP_SYS_ADMIN.
//
// The error wraps [fs.ErrExist] if the name is taken.
func Create(name string) (*NS, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := prepareDir(); err != nil {
		return nil, explain("creating", name, err)
	}
	f, err := os.OpenFile(mountPoint(name), os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("network namespace %s exists already: %w", name, fs.ErrExist)
	}
	if err != nil {
		return nil, explain("creating", name, err)
	}
	f.Close()
	if err := mountNew(mountPoint(name)); err != nil {
		os.Remove(mountPoint(name))
		return nil, explain("creating", name, err)
	}
	ns, err := OpenName(name)
	if err != nil {
		return nil, errors.Join(err, Delete(name))
	}
	return ns, nil
}

// Delete unmounts the namespace and removes its name. The kernel destroys it, and
// the devices in it, when the last process and socket in it are gone. Deleting
// what is not there is an error that wraps [fs.ErrNotExist].
func Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	path := mountPoint(name)
	// Mounts can lie on top of each other, and there is none after a crash.
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) {
			break
		}
		if errors.Is(err, unix.ENOENT) {
			return notFound(name)
		}
		if err != nil {
			return explain("deleting", name, err)
		}
	}
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return notFound(name)
	}
	if err != nil {
		return explain("deleting", name, err)
	}
	return nil
}

// mountNew moves a thread to a new namespace for as long as it takes to mount it.
func mountNew(path string) error {
	return onThread(func() error {
		ns, err := vns.New()
		if err != nil {
			return err
		}
		defer ns.Close()
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
}

// prepareDir makes /run/netns a shared mount, as ip-netns(8) does and expects to
// find: otherwise its first run would mount the directory on top of itself and hide our
// mounts below, where they cannot be deleted. The lock is ip-netns's.
func prepareDir() error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", Dir, err)
	}
	err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount point yet
		if err = unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("mounting %s: %w", Dir, err)
	}
	return nil
}
