// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/container"
	"github.com/dwelltrace/dwell/internal/netns"
)

// nameDirs returns the directories in which files that are mounted namespaces
// give them names: iproute2's and docker's. On old systems /var/run is not /run.
func nameDirs() []string {
	dirs := []string{netns.Dir, "/run/docker/netns"}
	if run, err := filepath.EvalSymlinks("/var/run"); err == nil && run != "/run" {
		dirs = append(dirs, "/var/run/netns", "/var/run/docker/netns")
	}
	return dirs
}

// place is where a namespace can be opened, its name, and the container that it belongs to,
// if that has an ID.
type place struct {
	path, name string
	container  trace.Container
}

// finder finds namespaces by inode number, named ones in directories and others
// by the processes in them.
type finder struct {
	dirs     []string
	host     place
	inode    uint32 // the host's
	interval time.Duration
	clock    func() time.Time
	// containers is set if containers are looked for; names knows what runtimes call
	// them, if it is not nil.
	containers bool
	names      *container.Names

	// sight is what the scans have found. Whoever reads it does not wait for a scan.
	sight atomic.Pointer[sight]
	// changes counts the scans that found other names or containers than those before. It grows
	// after those can be read.
	changes atomic.Uint64

	mu         sync.Mutex // held during a scan
	namedAfter time.Time  // no scan of the directories before this
	procsAfter time.Time  // no scan of /proc before this
}

// sight is what scans have found. It does not change.
type sight struct {
	named, procs map[uint32]place
	owners       map[uint32]trace.Container
	aliases      map[uint32][]string // all names in directories, in order
}

func newFinder(dirs []string, host place, inode uint32, interval time.Duration, clock func() time.Time) *finder {
	f := &finder{dirs: dirs, host: host, inode: inode, interval: interval, clock: clock}
	f.sight.Store(&sight{})
	return f
}

// find returns where the namespace is, if it is anywhere now. It is thorough if it looked
// wherever a namespace can be.
func (f *finder) find(inode uint32, now time.Time) (p place, ok, thorough bool) {
	if inode == f.inode {
		return f.host, true, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok, thorough = f.locate(inode, now)
	return f.own(f.sight.Load(), inode, p), ok, thorough
}

// own names a place by the container that the namespace belongs to, if there is one.
func (f *finder) own(seen *sight, inode uint32, p place) place {
	c, ok := seen.owners[inode]
	if !ok {
		return p
	}
	if f.names != nil && c.Name == "" {
		c = f.names.Complete(c)
	}
	p.container, p.name = c, c.Title()
	return p
}

func (f *finder) locate(inode uint32, now time.Time) (_ place, ok, thorough bool) {
	if p, ok := f.sight.Load().named[inode]; ok && netns.MountedInode(p.path) == inode {
		return p, true, true
	}
	named := f.scanNamed(now)
	if p, ok := f.sight.Load().named[inode]; named && ok {
		return p, true, true
	}
	if p, ok := f.sight.Load().procs[inode]; ok && netns.MountedInode(p.path) == inode {
		return p, true, true
	}
	procs := f.scanProcs(now)
	if p, ok := f.sight.Load().procs[inode]; procs && ok {
		return p, true, true
	}
	return place{}, false, named && procs
}

// located is a namespace and where it can be opened.
type located struct {
	inode uint32
	path  string
}

// places yields the namespaces that the last scans have found, the host's first: most
// others are connected to that.
func (f *finder) places() iter.Seq[located] {
	return func(yield func(located) bool) {
		if !yield(located{f.inode, f.host.path}) {
			return
		}
		seen := f.sight.Load()
		for inode, p := range seen.named {
			if inode != f.inode && !yield(located{inode, p.path}) {
				return
			}
		}
		for inode, p := range seen.procs {
			if _, ok := seen.named[inode]; !ok && inode != f.inode && !yield(located{inode, p.path}) {
				return
			}
		}
	}
}

// scanAgain scans for all namespaces, and reports false if it is too early for that.
func (f *finder) scanAgain(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	named := f.scanNamed(now)
	return f.scanProcs(now) || named
}

// all returns the inode numbers of all namespaces that can be found.
func (f *finder) all(now time.Time) []uint32 {
	f.mu.Lock()
	f.scanNamed(now)
	f.scanProcs(now)
	f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.titles()))
}

// refresh reads where it is asked to, early or not.
func (f *finder) refresh(where Where, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.namedAfter = time.Time{}
	f.scanNamed(now)
	if where == Everywhere {
		f.procsAfter = time.Time{}
		f.scanProcs(now)
	}
}

// match returns the inode numbers of the namespaces whose names want chooses.
func (f *finder) match(want func(name string) bool) []uint32 {
	var inodes []uint32
	for inode, name := range f.titles() {
		if want(name) {
			inodes = append(inodes, inode)
		}
	}
	slices.Sort(inodes)
	return inodes
}

// titles returns the names of the namespaces that the last scans have found.
func (f *finder) titles() map[uint32]string {
	seen := f.sight.Load()
	titles := make(map[uint32]string, len(seen.procs)+len(seen.named))
	for _, m := range []map[uint32]place{seen.procs, seen.named} {
		for inode, p := range m {
			titles[inode] = f.own(seen, inode, p).name
		}
	}
	titles[f.inode] = f.host.name
	return titles
}

// count returns how many namespaces the last scans have found.
func (f *finder) count() int { return len(f.titles()) }

// scanNamed reads the directories of names, unless it is too early. A namespace
// with several names gets the first.
func (f *finder) scanNamed(now time.Time) bool {
	if now.Before(f.namedAfter) {
		return false
	}
	start := f.clock()
	before := f.sight.Load()
	after := *before
	after.named, after.aliases = map[uint32]place{}, map[uint32][]string{}
	for _, dir := range f.dirs {
		files, err := os.ReadDir(dir)
		if err != nil { // mostly: there is no such directory
			continue
		}
		for _, file := range files {
			inode := note(after.named, place{path: filepath.Join(dir, file.Name()), name: file.Name()})
			if inode != 0 {
				after.aliases[inode] = append(after.aliases[inode], file.Name())
			}
		}
	}
	f.sight.Store(&after)
	if !maps.EqualFunc(before.aliases, after.aliases, slices.Equal) {
		f.changes.Add(1)
	}
	f.namedAfter = now.Add(max(f.interval, Rest*f.clock().Sub(start)))
	return true
}

// scanProcs reads the namespaces of all processes, unless it is too early.
func (f *finder) scanProcs(now time.Time) bool {
	if now.Before(f.procsAfter) {
		return false
	}
	start := f.clock()
	before := f.sight.Load()
	after := *before
	after.procs = map[uint32]place{}
	claims := newClaims()
	files, _ := os.ReadDir("/proc")
	for _, file := range files {
		pid, err := strconv.ParseUint(file.Name(), 10, 32)
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", file.Name())
		inode := note(after.procs, place{path: dir + "/ns/net"})
		if !f.containers || inode == 0 {
			continue
		}
		if p, ok := container.OfProcess(dir); ok {
			claims.note(p, inode, uint32(pid))
		}
	}
	after.owners = claims.owners(f.inode)
	f.sight.Store(&after)
	if !maps.Equal(before.owners, after.owners) {
		f.changes.Add(1)
	}
	f.procsAfter = now.Add(max(f.interval, Rest*f.clock().Sub(start)))
	return true
}

// note enters the namespace at the place, if there is one, and returns its number.
func note(m map[uint32]place, p place) (inode uint32) {
	if inode = netns.MountedInode(p.path); inode == 0 {
		return 0
	}
	if p.name == "" {
		p.name = fmt.Sprintf("netns-%d", inode)
	}
	if _, ok := m[inode]; !ok {
		m[inode] = p
	}
	return inode
}
