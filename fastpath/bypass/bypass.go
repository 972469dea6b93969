// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Bypass is the fast path's programs and maps. Its methods may be called from several goroutines.
// Only one process at a time may have them open.
type Bypass struct {
	opts   Options
	kernel kernel
	clock  atomic.Pointer[instant]
	memory memory
	grace  grace

	open   sync.RWMutex // held for reading while anything below is used: see [Bypass.use]
	closed bool
	// maps and programs do not change between open and close.
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program

	change  sync.Mutex // held while devices, tenants or pins are changed
	devices []Device   // as they were last set; nil before

	watching watching
}

// errClosed is what methods return after Close.
var errClosed = fmt.Errorf("the fast path's programs: %w", fs.ErrClosed)

// Open adopts what is pinned, or makes it anew. Nothing is attached before the first
// [Bypass.SetDevices]; programs that are attached already are replaced by this version's. Nothing is
// sent fast before the first [Bypass.Beat].
//
// What was known of flows is kept. But because nobody saw what changed meanwhile, each has to be
// approved again, and the kernel has to treat one of its packets as before.
//
// Errors are ErrPermission, ErrVerifier or ErrUnsupported where one of them is the cause.
func Open(o Options) (*Bypass, error) {
	b := &Bypass{opts: o, maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}}
	if err := b.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the fast path's programs: %w", explain(err)), b.Close())
	}
	return b, nil
}

func (b *Bypass) start() (err error) {
	types := btf.NewCache() // to read them takes as long as all the rest
	if err := supported(types); err != nil {
		return err
	}
	if b.opts.Flows < 0 {
		return fmt.Errorf("%d flows are not a number of flows", b.opts.Flows)
	}
	if b.kernel, err = readKernel(types); err != nil {
		return err
	}
	if err := b.prepare(); err != nil {
		return err
	}
	spec, err := b.spec(loadPlain)
	if err != nil {
		return err
	}
	if err := b.openMaps(spec); err != nil {
		return err
	}
	if err := b.memory.open(b.maps[plainMapSettings], b.maps[plainMapEpochs]); err != nil {
		return err
	}
	b.begin()
	if err := b.openPrograms(spec, types); err != nil {
		return err
	}
	if err := b.grace.open(); err != nil {
		return err
	}
	if err := b.unwatch(); err != nil {
		return err
	}
	// Without anybody there, to begin with; and now the kernel's clock is known.
	if err := b.beat(true); err != nil {
		return err
	}
	if err := netns.In(b.opts.NetNS, b.renewLinks); err != nil {
		return err
	}
	return b.setTracing(b.opts.Shared, types)
}

// prepare makes the directory.
func (b *Bypass) prepare() error { return prepare(b.opts.Pin, b.dir()) }

// use returns the function to call when what is open is not needed any more. It must not wait
// for anything that waits for Close.
func (b *Bypass) use() (func(), error) {
	b.open.RLock()
	if b.closed {
		b.open.RUnlock()
		return nil, errClosed
	}
	return b.open.RUnlock, nil
}

// Close forgets the programs, which stay in force until nobody has attended to them for 3 seconds.
// [Bypass.Candidates] must have returned.
func (b *Bypass) Close() error {
	b.open.Lock()
	defer b.open.Unlock()
	b.closed = true
	errs := []error{b.memory.close(), b.grace.close()}
	for _, p := range b.programs {
		errs = append(errs, p.Close())
	}
	for _, m := range b.maps {
		errs = append(errs, m.Close())
	}
	clear(b.programs)
	clear(b.maps)
	return errors.Join(errs...)
}

// layout is the version of what is pinned: of c/maps.h. Another has another directory.
const layout = "v1"

// versions is the directory of all layouts.
func versions(pin string) string { return filepath.Join(pin, "fastpath") }

// dir is where everything is pinned.
func (b *Bypass) dir() string { return filepath.Join(versions(b.opts.Pin), layout) }

// path returns where something is pinned.
func (b *Bypass) path(name string) string { return filepath.Join(b.dir(), name) }

// removeOthers removes what other versions have pinned, which takes their programs from devices.
func (b *Bypass) removeOthers() error {
	all, err := os.ReadDir(versions(b.opts.Pin))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range all {
		if dir.Name() != layout {
			errs = append(errs, removeLayout(filepath.Join(versions(b.opts.Pin), dir.Name())))
		}
	}
	return errors.Join(errs...)
}
