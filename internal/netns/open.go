// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Entry is a named namespace.
type Entry struct {
	Name string
	// Inode is 0 if the file is there and no namespace is mounted on it, as after
	// a crash.
	Inode uint32
}

// Open opens the namespace that a user means by ref: a name in /run/netns, a
// path such as /proc/PID/ns/net, or the number of a process. A name wins over a
// process number. The caller closes the namespace.
//
// The error for an unknown name wraps [fs.ErrNotExist] and lists the names.
func Open(ref string) (*NS, error) {
	if strings.ContainsRune(ref, '/') {
		return openPath(ref, ref)
	}
	ns, err := OpenName(ref)
	if pid, perr := strconv.ParseUint(ref, 10, 31); perr == nil && errors.Is(err, fs.ErrNotExist) {
		return OpenPID(int(pid))
	}
	return ns, err
}

// OpenName opens the namespace that is mounted at /run/netns/name.
func OpenName(name string) (*NS, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	ns, err := openPath(mountPoint(name), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(name)
	}
	return ns, err
}

// OpenPID opens the namespace of a process.
func OpenPID(pid int) (*NS, error) {
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	ns, err := openPath(path, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no process %d and %w", pid, notFound(strconv.Itoa(pid)))
	}
	return ns, err
}

// Inode returns the inode number of the namespace that ref means; see [Open].
func Inode(ref string) (uint32, error) {
	ns, err := Open(ref)
	if err != nil {
		return 0, err
	}
	defer ns.Close()
	return ns.inode, nil
}

// List returns the named namespaces in order of their names, including files on
// which nothing is mounted. A host without /run/netns has none.
func List() ([]Entry, error) {
	files, err := os.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing network namespaces: %w", err)
	}
	entries := make([]Entry, 0, len(files))
	for _, f := range files {
		entries = append(entries, Entry{Name: f.Name(), Inode: MountedInode(mountPoint(f.Name()))})
	}
	return entries, nil
}

// MountedInode returns the inode number of the namespace at path, or 0 if there
// is none. It does not open the namespace and so does not keep it alive.
func MountedInode(path string) uint32 {
	var fsys unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs(path, &fsys) != nil || fsys.Type != unix.NSFS_MAGIC || unix.Stat(path, &st) != nil {
		return 0
	}
	return uint32(st.Ino)
}

func openPath(path, name string) (*NS, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, explain("opening", path, err)
	}
	ns := &NS{file: f, name: name}
	if ns.inode, err = inodeOf(f); err != nil {
		f.Close()
		return nil, err
	}
	if ns.name == "" {
		ns.name = path
	}
	return ns, nil
}

// inodeOf returns the file's inode number if it is a network namespace.
func inodeOf(f *os.File) (uint32, error) {
	fd := int(f.Fd())
	var fsys unix.Statfs_t
	if err := unix.Fstatfs(fd, &fsys); err != nil {
		return 0, explain("opening", f.Name(), err)
	}
	if fsys.Type != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("%s is not a network namespace: nothing is mounted there (left by a crash? remove it with ip netns del %s)",
			f.Name(), filepath.Base(f.Name()))
	}
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		return 0, fmt.Errorf("%s is a namespace, but not a network namespace", f.Name())
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, explain("opening", f.Name(), err)
	}
	return uint32(st.Ino), nil
}

// notFound lists what there is, so that a slip of the pen shows at once.
func notFound(name string) error {
	entries, err := List()
	if err != nil {
		return fmt.Errorf("no network namespace %q: %w", name, errors.Join(fs.ErrNotExist, err))
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return &notFoundError{name: name, names: names}
}

type notFoundError struct {
	name  string
	names []string
}

func (e *notFoundError) Error() string {
	if len(e.names) == 0 {
		return fmt.Sprintf("no network namespace %q; ip netns list shows none", e.name)
	}
	return fmt.Sprintf("no network namespace %q; ip netns list shows: %s", e.name, strings.Join(e.names, ", "))
}

func (*notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > unix.NAME_MAX || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q cannot be the name of a network namespace: it names a file in %s", name, Dir)
	}
	return nil
}
