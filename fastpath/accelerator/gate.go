// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/changes"
)

// dirt is what has to be read again.
type dirt uint8

const (
	dirtyRules dirt = 1 << iota
	dirtyDevices
	dirtyTenants
	dirtyFirewall

	dirtyAll = dirtyRules | dirtyDevices | dirtyTenants | dirtyFirewall
)

const (
	// anybody is the slot of devices that packets of several tenants may pass.
	anybody = 0
	// nobody is that of devices that no flow passes: because they are not connected with a port or NIC, or are
	// of tenants that have no fast path.
	nobody = bypass.MaxTenants
)

// stopper is what stops fast packets: words in memory that the programs read.
type stopper interface {
	Hold(held bool)
	Changed(slots ...uint16)
}

// gate stops fast packets at once when something changes, before anybody looks at what it means.
// It is on the way between the kernel's announcement and the programs, so that nothing is done
// here that takes long: no system call, and its lock is never kept during one.
type gate struct {
	// wake tells whoever reads things again.
	wake func()

	mu       sync.Mutex // for what follows
	programs stopper    // nil while there are none
	// devices are those that there were when they were last read, nil before, with the slots of tenants if their
	// changes concern one only, nobody, or anybody. See also joined.
	devices map[int]uint16
	tenants map[uint32]uint16 // by tenant.NumberOf
	// joined are devices that are not among them yet and have been connected with one that is not nobody's;
	// reading those of them that had been when it began to be read what there is now.
	joined, reading map[int]bool
	// held is set while nothing is sent fast; holds is how often something made it so.
	held    bool
	holds   uint64
	since   time.Time
	because string
	total   time.Duration
	dirty   dirt
	counts  map[string]uint64
	room    [8]uint16 // for the slots of a change, so that nothing is allocated
}

func newGate(wake func()) *gate {
	return &gate{wake: wake, joined: map[int]bool{}, reading: map[int]bool{}, counts: map[string]uint64{}, dirty: dirtyAll}
}

// begin gives it the programs, which send nothing until [gate.release].
func (g *gate) begin(p stopper, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.programs = p
	g.hold(why, dirtyAll)
	p.Changed()
}

// end takes the programs away.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.programs = nil
	g.dirty = dirtyAll
	if g.held {
		g.held, g.total = false, g.total+time.Since(g.since)
	}
}

// concern says which tenants' slots devices and tenants have, for changes that only concern one. The devices
// must be all that there were after take returned, unless they are nil.
func (g *gate) concern(devices map[int]uint16, tenants map[uint32]uint16) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.devices, g.tenants = devices, tenants
	clear(g.reading)
}

// hold must be called with the lock.
func (g *gate) hold(why string, d dirt) {
	g.holds++
	g.dirty |= d
	if g.programs != nil {
		g.programs.Hold(true)
	}
	if !g.held && g.programs != nil {
		g.held, g.since = true, time.Now()
	}
	g.because = why
}

// change is called for what the kernel announces.
func (g *gate) change(c changes.Change) {
	if c.Kind == 0 {
		return // only a sign of life
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	slots, everybody := g.concerns(c)
	var d dirt
	if c.Kind.Has(changes.Rules) {
		d |= dirtyRules
	}
	if c.Kind.Has(changes.Devices) {
		d |= dirtyDevices
	}
	switch {
	case d == 0:
	case everybody || d != dirtyDevices:
		g.hold(c.What, d)
		g.wake()
	default:
		// A tenant can change its guests' devices as often as it likes, which is not to stop others. Its
		// own flows are fast again when the kernel has treated a packet as before.
		g.dirty |= d
		g.wake()
	}
	g.count(c.Kind)
	switch {
	case g.programs == nil:
	case everybody:
		g.programs.Changed()
	case len(slots) > 0:
		g.programs.Changed(slots...)
	}
}

// concerns returns the slots of the tenants whose flows a change may concern, or that it may concern
// everybody's: because a device is not only one tenant's, or rules have changed.
func (g *gate) concerns(c changes.Change) (slots []uint16, everybody bool) {
	switch {
	case c.Kind.Has(changes.All) || c.Kind.Has(changes.Rules) || g.devices == nil:
		return nil, true
	case !c.Kind.Has(changes.Some):
		return nil, false
	case len(c.Devices) == 0:
		return nil, true
	}
	slots = g.room[:0]
	for _, index := range c.Devices {
		switch slot := g.slot(index); {
		case slot == anybody:
			everybody = true
		case slot != nobody && !slices.Contains(slots, slot):
			slots = append(slots, slot)
		}
	}
	if everybody || len(slots) > 0 {
		g.join(c.Devices)
	}
	return slots, everybody
}

// slot returns whom a change of a device concerns. One that was not there when devices were last read is on no
// flow's way, unless it was connected since with one that is.
func (g *gate) slot(index int) uint16 {
	slot, known := g.devices[index]
	switch {
	case known:
		return slot
	case g.joined[index] || g.reading[index]:
		return anybody
	}
	return nobody
}

// join notes the devices of a change that are new, and may be connected now with the others. Until devices are read
// again, what else happens to them may concern anybody.
func (g *gate) join(devices []int) {
	for _, index := range devices {
		if _, known := g.devices[index]; !known {
			g.joined[index] = true
		}
	}
}

// slow says that the flows of tenants have to be seen by the kernel again.
func (g *gate) slow(slots []uint16) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.programs != nil && len(slots) > 0 {
		g.programs.Changed(slots...)
	}
}

// count counts a change as the widest that it is.
func (g *gate) count(k changes.Kind) {
	switch {
	case k.Has(changes.Rules):
		g.counts["rules"]++
	case k.Has(changes.Devices):
		g.counts["devices"]++
	case k.Has(changes.All):
		g.counts["all"]++
	default:
		g.counts["tenant"]++
	}
}

// firewall is called when the firewall has changed a tenant's rules.
func (g *gate) firewall(tenant uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts["firewall"]++
	g.hold("a tenant's firewall rules changed", dirtyFirewall)
	g.wake()
	if g.programs == nil {
		return
	}
	if slot := g.tenants[tenant]; slot != 0 {
		g.programs.Changed(slot)
		return
	}
	g.programs.Changed()
}

// stop holds everything for a reason of the manager's own.
func (g *gate) stop(why string, d dirt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold(why, d)
	if g.programs != nil {
		g.programs.Changed()
	}
}

// soil says that something has to be read again, which nothing is known to have changed.
func (g *gate) soil(d dirt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dirty |= d
}

// take returns what has to be read, and the number with which it is released if nothing has
// changed meanwhile.
func (g *gate) take() (dirt, uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.dirty
	g.dirty = 0
	if d&dirtyDevices != 0 {
		maps.Copy(g.reading, g.joined)
		clear(g.joined)
	}
	return d, g.holds
}

// release lets packets be sent again, if nothing has changed after take returned the number.
func (g *gate) release(holds uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds != holds {
		return false
	}
	if g.held {
		g.held, g.total = false, g.total+time.Since(g.since)
	}
	if g.programs != nil {
		g.programs.Hold(false)
	}
	return true
}

func (g *gate) isHeld() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// gateState is what is said of a gate.
type gateState struct {
	held    bool
	since   time.Duration
	because string
	total   time.Duration
	counts  map[string]uint64
}

func (g *gate) state() gateState {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := gateState{held: g.held, total: g.total, counts: maps.Clone(g.counts)}
	if g.held {
		s.since, s.because = time.Since(g.since), g.because
		s.total += s.since
	}
	return s
}
