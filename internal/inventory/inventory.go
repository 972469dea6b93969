// SPDX-License-Identifier: Apache-2.0

// Package inventory gives names to the numbers that events carry: network
// namespaces by inode number, devices by namespace and interface index.
//
// The kernel side could write names into every event and does not: they would be
// most of its bytes. Looking them up here is later, though, and the numbers are
// reused: a namespace deleted and made anew often gets the same inode number
// within milliseconds. So what is known has an age.
//
//   - What was last scanned longer than Config.MaxAge ago is scanned again.
//   - Whenever a name is found to have come or gone, everything is; and a namespace that is
//     not where it was found, or is another one there, which is checked before each answer.
//   - A number that is not known is looked for at once, but a namespace is never
//     scanned more often than Config.MinInterval allows.
//   - No answer takes longer than Config.MaxWait: then the old one is given. A [View] gives it at once,
//     and says whether a better one is to come.
//   - One goroutine has namespaces looked at. What it finds out replaces what is known as a whole, so that
//     others read that without waiting.
//   - All scans together take a bounded part of a CPU's time, see budget. What is only old
//     leaves half of that to what is not known, and what finds nothing left waits, in order.
//     Meanwhile a namespace is called by its name, which takes no scan, and what another one
//     with the same number was called is forgotten.
//
// A namespace that belongs to a container is named by that, if Config.Containers is set:
// the file on which a runtime mounts it has a name that means nothing to people. The
// processes in it say which container it belongs to, see claims; the runtime says what
// the container is called, if it may be queried.
//
// Subscribing to each namespace's netlink notifications would be quicker to see
// a renamed device, and wrong: a socket keeps its namespace alive, and so the
// network of every container that is gone. It is only done in hypervisors and shared
// namespaces, and only if there are tenants, whose ports are there: see SetTenants.
package inventory

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/container"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/ovsdb"
)

// HostName is the name of the host's own network namespace.
const HostName = "host"

// Config of an Inventory. The zero value is the default.
type Config struct {
	// Hypervisors are the inode numbers of the namespaces that are hypervisors.
	// Default: the host's own.
	Hypervisors []uint32
	// Containers names namespaces after the containers that they belong to. Sockets are
	// those of the container runtimes to query for names; if it is empty, or until they
	// have answered, a container goes by its ID.
	Containers bool
	Sockets    []string
	// OVSDB is the socket of Open vSwitch's database, which says what bridges its ports belong
	// to. It is only asked if there are such ports. Default: ovsdb.Socket.
	OVSDB string
	// MaxAge is for how long an answer is good without another look. Default Steady.
	MaxAge time.Duration
	// MinInterval is the shortest time from one scan of a namespace to the next; a scan
	// that took long makes it longer, see Rest. Default Soon.
	MinInterval time.Duration
	// MaxWait bounds how long an answer waits for a look, but for those of a View, which never do.
	// Default Soon.
	MaxWait time.Duration
	// Settle is for how long something belongs to nobody after it has come to belong to another
	// tenant: at least as long as it takes from a packet to its trace. Default 3 s.
	Settle time.Duration
	// LibvirtDir has libvirt's records of the virtual machines that run. Default: LibvirtDir.
	LibvirtDir string
	// Looked, if set, is called when a look has ended, and when there are no more to come. It must not
	// wait, nor close the inventory.
	Looked func()
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.OVSDB == "" {
		c.OVSDB = ovsdb.Socket
	}
	if c.MaxAge <= 0 {
		c.MaxAge = Steady
	}
	if c.MinInterval <= 0 {
		c.MinInterval = Soon
	}
	if c.MaxWait <= 0 {
		c.MaxWait = Soon
	}
	if c.Settle <= 0 {
		c.Settle = 3 * time.Second
	}
	if c.LibvirtDir == "" {
		c.LibvirtDir = LibvirtDir
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Stats counts what an Inventory did.
type Stats struct {
	// Unknown counts the answers that were numbers for want of a name.
	Unknown uint64
	// Looks counts the scans of namespaces that have ended, Failed those of them that were
	// not complete, mostly because the namespace was gone.
	Looks, Failed uint64
	// Waiting is how many namespaces wait for a scan now, because scans have taken the time that
	// they may take, and WaitingFor for how long the first of them has been waiting. Postponed
	// counts scans that were due and were left out for that: what was known is good enough.
	Waiting    int
	WaitingFor time.Duration
	Postponed  uint64
}

// Inventory answers from what it has seen. It is safe for concurrent use.
type Inventory struct {
	cfg    Config
	self   uint32 // the process's own namespace, which needs no rights to scan
	finder *finder
	// started is when all namespaces that were there had been scanned.
	started time.Time
	// switches knows Open vSwitch's bridges.
	switches *switches

	// unknown is Stats.Unknown; complete and failed count scans once they have ended, so
	// that neither ever decreases.
	unknown, complete, failed atomic.Uint64

	mu     sync.RWMutex
	spaces map[uint32]*space // one an inode number; the kernel reuses the lowest
	closed bool
	// closing is closed with the inventory.
	closing chan struct{}
	looking sync.WaitGroup

	hypervisors atomic.Pointer[[]uint32]

	// budget is for all looks, waiting has what is to be looked at, and lookAt does that.
	budget  *budget
	waiting waiting
	lookAt  func(*space)

	// tenancy is nil without tenants; base counts the changes of what that follows from, apart
	// from names. It never decreases, so that no two states have the same number.
	tenancy  atomic.Pointer[tenancy]
	base     atomic.Uint64
	doubtful atomic.Uint64
	links    links
}

// New returns an Inventory that has scanned every namespace that it could find.
// CAP_SYS_ADMIN is needed to scan namespaces other than the process's own, and
// CAP_SYS_PTRACE to find the unnamed ones of other users' processes.
func New(cfg Config) (*Inventory, error) {
	self := netns.MountedInode("/proc/self/ns/net")
	if self == 0 {
		return nil, fmt.Errorf("no network namespace at /proc/self/ns/net: is /proc mounted?")
	}
	host, hostPath := self, "/proc/self/ns/net"
	if inode := netns.MountedInode("/proc/1/ns/net"); inode != 0 {
		host, hostPath = inode, "/proc/1/ns/net"
	}
	cfg = cfg.withDefaults()
	v := &Inventory{
		cfg: cfg, self: self, spaces: map[uint32]*space{},
		finder: newFinder(nameDirs(), place{path: hostPath, name: HostName}, host, cfg.MinInterval, cfg.Now),

		switches: &switches{socket: cfg.OVSDB},
		links:    links{open: linkSocketHere},
		closing:  make(chan struct{}),
		budget:   newBudget(cfg.Now()),
		waiting:  waiting{arrived: make(chan struct{}, 1)},
	}
	v.lookAt = v.look
	v.finder.containers = cfg.Containers
	if cfg.Containers && len(cfg.Sockets) > 0 {
		v.finder.names = container.NewNames(cfg.Sockets)
	}
	v.setHypervisors(cfg.Hypervisors)
	inodes := v.finder.all(cfg.Now())
	v.settle()
	for _, inode := range inodes {
		v.look(v.space(inode))
	}
	v.started = cfg.Now()
	return v, nil
}

// settle waits a moment for the names of the containers that there are already.
func (v *Inventory) settle() {
	if v.finder.names == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), Steady)
	defer cancel()
	v.finder.names.Settle(ctx)
}

// NetNS returns the namespace with the inode number. One that is not known is
// named netns-<inode>. The same namespace is the same pointer until it is renamed.
func (v *Inventory) NetNS(inode uint32) *trace.NetNS {
	s := v.space(inode)
	return v.sureNetNS(s, v.current(s, v.await))
}

// Device returns the device with the index in the namespace. One that is not
// known is named if<index>. The same device is the same pointer until its name,
// its bridge, what is below it or its namespace's name changes.
func (v *Inventory) Device(inode, ifindex uint32) *trace.Device {
	d, _ := v.device(inode, ifindex, v.await)
	return d
}

// device returns a device, and whether it is certain that it is that.
func (v *Inventory) device(inode, ifindex uint32, ask asker) (*trace.Device, bool) {
	s := v.space(inode)
	snap := v.current(s, ask)
	d, ok := snap.devices[ifindex]
	if !ok {
		snap = ask(s, urgent)
		d, ok = snap.devices[ifindex]
	}
	if ok {
		sure := v.sureDevice(s, snap, d.device)
		return sure, sure == d.device
	}
	v.unknown.Add(1)
	return s.placeholder(v.sureNetNS(s, snap), ifindex, v.tenancy.Load() != nil && snap.netns.Tenant == ""), false
}

// Stats returns what was counted so far.
func (v *Inventory) Stats() Stats {
	failed := v.failed.Load()
	stats := Stats{
		Unknown: v.unknown.Load(), Looks: v.complete.Load() + failed, Failed: failed, Postponed: v.waiting.postponed.Load(),
	}
	var oldest time.Time
	if stats.Waiting, oldest = v.waiting.stats(); stats.Waiting > 0 {
		stats.WaitingFor = v.cfg.Now().Sub(oldest)
	}
	return stats
}

// Close waits until no look is under way. Afterwards answers come from what is
// known.
func (v *Inventory) Close() {
	v.mu.Lock()
	if !v.closed {
		close(v.closing)
	}
	v.closed = true
	v.mu.Unlock()
	v.looking.Wait()
	v.links.close()
	if v.finder.names != nil {
		v.finder.names.Close()
	}
}

// space returns the namespace's place in the inventory.
func (v *Inventory) space(inode uint32) *space {
	v.mu.RLock()
	s := v.spaces[inode]
	v.mu.RUnlock()
	if s != nil {
		return s
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if s = v.spaces[inode]; s == nil {
		s = newSpace(inode, v.netns(inode, place{name: fmt.Sprintf("netns-%d", inode)}))
		v.spaces[inode] = s
	}
	return s
}

func (v *Inventory) netns(inode uint32, where place) *trace.NetNS {
	ns := &trace.NetNS{Inode: inode, Name: where.name, Hypervisor: v.isHypervisor(inode)}
	if where.container.ID != "" {
		ns.Container = &where.container
	}
	return ns
}

// describes reports whether the namespace has the place's name and container.
func (p place) describes(ns *trace.NetNS) bool {
	if ns.Container == nil {
		return p.name == ns.Name && p.container.ID == ""
	}
	return p.name == ns.Name && p.container == *ns.Container
}

// generation returns a number that is another one when a name came or went, or somebody who
// is asked for names gave another answer.
func (v *Inventory) generation() uint64 {
	g := v.finder.changes.Load() + v.switches.changes.Load()
	if v.finder.names != nil {
		g += v.finder.names.Answers()
	}
	return g
}

// begin notes that a look is under way, unless the inventory is closed.
func (v *Inventory) begin() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed {
		return false
	}
	v.looking.Add(1)
	return true
}
