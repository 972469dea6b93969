// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"encoding/xml"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/tenant"
)

const (
	// LibvirtDir is where libvirt keeps a record of each domain that runs, NAME.xml.
	LibvirtDir = "/run/libvirt/qemu"
	// maxRecord bounds the size of such a record, in bytes. One has some ten thousand.
	maxRecord = 4 << 20
)

// machines knows the devices of virtual machines that tenants own, by libvirt's records. A
// record is replaced whenever the domain's state changes, by a file that is renamed, and so
// the directory's time says that there is news.
type machines struct {
	dir     string
	changes *atomic.Uint64 // of what it says
	next    atomic.Int64   // time of the next check, in ns since the Unix epoch
	taps    atomic.Pointer[taps]

	mu      sync.Mutex // held during a check
	seen    unix.Timespec
	again   bool // the directory may have changed after it was read
	records map[string]record
}

// taps are the owners of devices by name, and the references that mean a machine. They do not
// change.
type taps struct {
	owners  map[string]verdict
	matched map[*tenant.Ref]bool
}

// record is what one file said.
type record struct {
	modified time.Time
	size     int64
	devices  []string
}

// refresh reads the records again if they may have changed.
func (m *machines) refresh(set *tenant.Set, now time.Time) {
	if !set.HasVMs() {
		return
	}
	next := m.next.Load()
	if now.UnixNano() < next || !m.next.CompareAndSwap(next, now.Add(checkInterval).UnixNano()) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := modified(m.dir)
	if seen == m.seen && !m.again {
		return
	}
	m.again = time.Since(time.Unix(seen.Unix())) < settled
	m.seen = seen
	m.read(set)
}

// read reads the records that are new.
func (m *machines) read(set *tenant.Set) {
	files, _ := os.ReadDir(m.dir) // mostly: there is no libvirt
	records := map[string]record{}
	t := &taps{owners: map[string]verdict{}, matched: map[*tenant.Ref]bool{}}
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), ".xml")
		if !ok {
			continue
		}
		var refs verdict
		set.MatchVM(name, func(ref *tenant.Ref) {
			refs.add(ref)
			t.matched[ref] = true
		})
		if refs.none() {
			continue
		}
		r := m.record(file.Name())
		records[file.Name()] = r
		for _, device := range r.devices {
			v := t.owners[device]
			v.merge(refs)
			t.owners[device] = v
		}
	}
	m.records = records
	before := m.taps.Swap(t)
	if before == nil || !maps.Equal(before.owners, t.owners) || !maps.Equal(before.matched, t.matched) {
		m.changes.Add(1)
	}
}

// record returns what a file says, as it was read before if it has not changed.
func (m *machines) record(name string) record {
	f, err := os.Open(filepath.Join(m.dir, name))
	if err != nil {
		return record{} // it has gone
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return record{}
	}
	if before, ok := m.records[name]; ok && before.modified.Equal(info.ModTime()) && before.size == info.Size() {
		return before
	}
	return record{info.ModTime(), info.Size(), targets(io.LimitReader(f, maxRecord))}
}

// targets returns the names of the host's ends of a domain's interfaces, of its record or its
// definition: <interface><target dev='vnet0'/></interface>. What follows a mistake is not
// read.
func targets(r io.Reader) (devices []string) {
	d := xml.NewDecoder(r)
	var path []string
	for {
		token, err := d.Token()
		if err != nil {
			return devices
		}
		switch e := token.(type) {
		case xml.StartElement:
			if n := len(path); e.Name.Local == "target" && n >= 2 && path[n-1] == "interface" && path[n-2] == "devices" {
				for _, a := range e.Attr {
					if a.Name.Local == "dev" && a.Value != "" {
						devices = append(devices, a.Value)
					}
				}
			}
			path = append(path, e.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}

// owner returns whose the machine is to which the device leads.
func (m *machines) owner(device string) verdict {
	if t := m.taps.Load(); t != nil {
		return t.owners[device]
	}
	return verdict{}
}

func (m *machines) matched(found func(*tenant.Ref)) {
	if t := m.taps.Load(); t != nil {
		for ref := range t.matched {
			found(ref)
		}
	}
}

// modified returns when the directory was last modified, or zero if there is none.
func modified(dir string) unix.Timespec {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return unix.Timespec{}
	}
	return st.Mtim
}
