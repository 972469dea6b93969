// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/internal/netns"
)

// CheckReference returns an error for what can never mean a namespace, see
// [Inventory.Find].
func CheckReference(ref string) error {
	if ref == "" {
		return fmt.Errorf("a reference to a network namespace must not be empty: use its name, a path, a process ID, %q "+
			"or a pattern like tenant-*", HostName)
	}
	if _, err := path.Match(ref, ""); err != nil && !strings.Contains(ref, "/") {
		return fmt.Errorf("pattern %q for names of network namespaces: %w (the syntax is that of Go's path.Match)", ref, err)
	}
	return nil
}

// IsPattern reports whether the reference means all namespaces of some names.
func IsPattern(ref string) bool {
	return strings.ContainsAny(ref, "*?[") && !strings.Contains(ref, "/")
}

// Find returns the inode numbers of the namespaces that a reference means now:
//
//   - "host" is the host's own.
//   - What has a slash in it is a path, such as /proc/PID/ns/net.
//   - What has one of *?[ in it is a pattern as in [path.Match] and means every namespace
//     with such a name. The names are those that [Inventory.NetNS] gives.
//   - Anything else is a name in /run/netns; if there is none, the number of a process;
//     if there is none either, a name as [Inventory.NetNS] gives it.
//
// There may be none. Find looks as often as it is called.
func (v *Inventory) Find(ref string) []uint32 {
	switch {
	case ref == HostName:
		return []uint32{v.finder.inode}
	case strings.Contains(ref, "/"):
		return present(netns.MountedInode(ref))
	case IsPattern(ref):
		return v.finder.match(func(name string) bool { ok, _ := path.Match(ref, name); return ok })
	}
	if inode := netns.MountedInode(filepath.Join(netns.Dir, ref)); inode != 0 {
		return []uint32{inode}
	}
	if pid, err := strconv.ParseUint(ref, 10, 31); err == nil {
		if inode := netns.MountedInode(fmt.Sprintf("/proc/%d/ns/net", pid)); inode != 0 {
			return []uint32{inode}
		}
	}
	return v.finder.match(func(name string) bool { return name == ref })
}

func present(inode uint32) []uint32 {
	if inode == 0 {
		return nil
	}
	return []uint32{inode}
}

// Where says where to look for namespaces.
type Where uint8

const (
	// Names are the directories in which files that are mounted namespaces give them
	// names. It takes two system calls for each.
	Names Where = iota
	// Everywhere is also every process, which takes several for each.
	Everywhere
)

// Refresh looks for namespaces again. Its caller decides how often, and so how much of
// the machine's time it takes.
func (v *Inventory) Refresh(where Where) {
	v.finder.refresh(where, v.cfg.Now())
	v.resolveTenants()
}

// Containers reports whether containers are looked for.
func (v *Inventory) Containers() bool { return v.cfg.Containers }

// Count returns how many namespaces were there at the last look for all of them.
func (v *Inventory) Count() int { return v.finder.count() }

// ErrGone is returned for a namespace that was there before.
var ErrGone = errors.New("is gone")

// Open opens a namespace that has been found. The caller closes it. The error is ErrGone
// if it is not there any more.
func (v *Inventory) Open(inode uint32) (*netns.NS, error) {
	where, ok, _ := v.finder.find(inode, v.cfg.Now())
	if !ok { // or not scanned for since it appeared
		v.Refresh(Everywhere)
		where, ok, _ = v.finder.find(inode, v.cfg.Now())
	}
	if !ok {
		return nil, fmt.Errorf("network namespace %d %w", inode, ErrGone)
	}
	ns, err := netns.Open(where.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && ns.Inode() != inode {
		if ns != nil {
			ns.Close()
		}
		return nil, fmt.Errorf("network namespace %d (%s) %w", inode, where.name, ErrGone)
	}
	if err != nil {
		return nil, err
	}
	return ns, nil
}
