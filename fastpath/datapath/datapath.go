// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// Datapath is one tenant's programs and maps. Its methods may be called from several
// goroutines. Only one process at a time may have a tenant's open.
type Datapath struct {
	opts    Options
	kernel  kernel
	clsact  bool // as if the kernel had no TCX: for tests
	renewed bool

	mu         sync.Mutex // guards what follows
	maps       map[string]*ebpf.Map
	programs   map[string]*ebpf.Program
	tables     [kinds]*ebpf.Map // in force, or nil
	generation uint32
	final      []TableCounts // of tables that are gone, not yet asked for
	lost       error         // what could not be read of them
}

// Open adopts what is pinned, or makes it anew. Nothing is judged before the first
// [Datapath.Swap]. What is adopted judges on as before.
//
// Errors are ErrPermission, ErrVerifier or ErrUnsupported where one of them is the cause.
func Open(o Options) (*Datapath, error) {
	d := &Datapath{opts: o, maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the firewall's programs: %w", explain(err)), d.Close())
	}
	return d, nil
}

func (d *Datapath) open() (err error) {
	types := btf.NewCache() // to read them takes as long as all the rest
	if d.kernel, err = readKernel(types); err != nil {
		return err
	}
	if err := pinned.Prepare(d.opts.Pin); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir(), 0o700); err != nil {
		return err
	}
	spec, err := d.spec(loadPlain)
	if err != nil {
		return err
	}
	made, err := d.openMaps(spec)
	if err != nil {
		return err
	}
	if err := d.openPrograms(spec, types, made); err != nil {
		return err
	}
	if err := d.adoptTables(); err != nil {
		return err
	}
	if err := d.renewLinks(); err != nil {
		return err
	}
	return d.setTracing(d.opts.Shared, types)
}

// Renewed reports whether Open has replaced a program that iptables' rules may still have:
// they should be put anew, to have the program that is pinned now. Until then the old one
// decides as well.
func (d *Datapath) Renewed() bool { return d.renewed }

// Path returns where the program of that name is pinned, for --object-pinned.
func (d *Datapath) Path(name string) string { return filepath.Join(d.dir(), name) }

// Close forgets the programs, which stay in force.
func (d *Datapath) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.close()
}

func (d *Datapath) close() error {
	var errs []error
	for _, p := range d.programs {
		errs = append(errs, p.Close())
	}
	for _, m := range d.maps {
		errs = append(errs, m.Close())
	}
	for k, m := range d.tables {
		errs = append(errs, m.Close())
		d.tables[k] = nil
	}
	clear(d.programs)
	clear(d.maps)
	return errors.Join(errs...)
}

// Remove detaches and unpins everything of the tenant, and closes. Rules in iptables that have
// one of the programs keep it, so they go first.
func (d *Datapath) Remove() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ports, err := d.indices()
	if err != nil {
		return fmt.Errorf("remove the firewall's programs: %w", err)
	}
	var errs []error
	for _, index := range ports {
		errs = append(errs, d.detach(index))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the firewall's programs: %w", err)
	}
	// Programs before maps, and the directory last: what a crash leaves can be opened again.
	for name := range maps.Keys(d.programs) {
		errs = append(errs, pinned.Remove(d.Path(name)))
	}
	for name := range maps.Keys(d.maps) {
		errs = append(errs, pinned.Remove(d.Path(name)))
	}
	return errors.Join(append(errs, d.close(), os.RemoveAll(d.dir()))...)
}

// dir is where everything of the tenant is pinned.
func (d *Datapath) dir() string { return tenantDir(d.opts.Pin, d.opts.Tenant) }

// layout is the version of what is pinned: of c/maps.h. Another has another directory.
const layout = "v1"

func tenantDir(pin string, tenant uint32) string {
	return filepath.Join(pin, layout, fmt.Sprintf("%08x", tenant))
}
