// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Options say how a [Manager] works, and on what.
type Options struct {
	// Pin is the directory of a BPF file system for programs and maps, which is mounted if
	// there is none. FirewallPin is that of the firewall's programs, whose filters are dwell's own.
	Pin, FirewallPin string
	// NetNS is the hypervisor's network namespace; nil is the process's.
	NetNS *netns.NS
	// NICs are names of the devices that lead out of the host; none: they are found.
	NICs []string
	// Lease is for how long at most it is believed what was learnt; 0 is [DefaultLease].
	Lease time.Duration
	// Capacity bounds a tenant's entries, of which a flow has two; 0 is [DefaultCapacity].
	Capacity int
	// Firewall has the tenants' own rules, as firewall.Manager does: whoever has one calls
	// [Manager.FirewallChanged] when it changes. It may be nil: then tenants have none.
	Firewall approval.Firewall
	// Log takes what is not as it should be.
	Log *slog.Logger
}

// Values of options that are not said.
const (
	DefaultLease    = 10 * time.Second
	DefaultCapacity = 16384
)

// ours are the patterns of the paths at which dwell's own programs and links are pinned: of the fast path
// by version, of the firewall by version and tenant.
func (o *Options) ours() []string {
	patterns := []string{filepath.Join(o.Pin, "fastpath", "*", "*")}
	if o.FirewallPin != "" {
		patterns = append(patterns, filepath.Join(o.FirewallPin, "v[0-9]*", "*", "*"))
	}
	return patterns
}

// Manager runs the fast path of a host. Its methods may be called by several goroutines.
type Manager struct {
	options Options
	log     *slog.Logger
	faces   *faces
	gate    *gate
	queue   *queue
	judge   atomic.Pointer[judge]
	tally   tally
	doubts  doubts
	details details
	heart   heart
	// wake is for Run: something has to be read again, or tenants have changed.
	wake chan struct{}

	mu      sync.Mutex // for what follows
	session *session   // nil while there is none
	down    bool
	began   time.Time // when Run saw that somebody is to have a fast path; zero: nobody is, as far as it knows
	set     *tenant.Set
	modes   map[string]flow.Mode
	slots   *slots
	without []string // tenants for which there is no slot
	shared  map[string]*ebpf.Map
	// programs are nil while there are none.
	programs programs
	// room is how many entries of each family their tables have room for.
	room int
	view view
	// unsupported says what the kernel lacks, or is "".
	unsupported string
	problems    map[string]string // sentences, by what they are about
	// fresh are slots of which what was before has to be forgotten.
	fresh map[uint16]bool
	// attached is set if all devices have the programs, as far as is known.
	attached  bool
	meter     *meter
	steady    steady // only Run's
	unwatched uint64
}

// New makes a manager, which knows no tenants yet and has changed nothing. A kernel that cannot
// have a fast path is no error: [Manager.Status] says so.
func New(o Options) (*Manager, error) { return newManager(o, newFaces(&o)), nil }

func newManager(o Options, f *faces) *Manager {
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.Capacity == 0 {
		o.Capacity = DefaultCapacity
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		options: o, log: o.Log, faces: f, queue: newQueue(), wake: make(chan struct{}, 1),
		modes: map[string]flow.Mode{}, slots: newSlots(), problems: map[string]string{}, fresh: map[uint16]bool{}, meter: newMeter(), steady: steady{noPeer: map[int]time.Time{}},
	}
	m.gate = newGate(m.rouse)
	m.doubts.sign = make(chan struct{}, 1)
	return m
}

// rouse tells Run that there is something to do. It never waits.
func (m *Manager) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// SetTenants says who the tenants are and which of them have a fast path. Those without a mode
// have none.
func (m *Manager) SetTenants(set *tenant.Set, modes map[string]flow.Mode) {
	m.mu.Lock()
	m.set, m.modes, m.down = set, maps.Clone(modes), false
	m.mu.Unlock()
	m.gate.stop("tenants were set", dirtyTenants|dirtyDevices)
	m.rouse()
}

// FirewallChanged says that rules of the tenant with the number ([tenant.NumberOf]) have changed. When it
// returns, no packet of the tenant's is fast until the rules have been read. It does not wait.
func (m *Manager) FirewallChanged(number uint32) { m.gate.firewall(number) }

// SetTracing gives the programs the tracer's maps, nil to take them away.
func (m *Manager) SetTracing(shared map[string]*ebpf.Map) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shared = shared
	if m.programs == nil {
		return nil
	}
	return m.programs.SetTracing(shared)
}

// Close forgets the programs, which stay where they are for whoever comes next. They send nothing
// fast while nobody is there.
func (m *Manager) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closePrograms()
}

// Down takes everything out of the kernel, at once. There is no fast path any more until tenants
// are set again.
func (m *Manager) Down() error {
	m.mu.Lock()
	m.down = true
	s := m.session
	m.mu.Unlock()
	if s != nil {
		s.stop(errDown)
		<-s.done
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remove()
}

// remove takes everything out of the kernel. It must be called with the lock.
func (m *Manager) remove() error {
	err := errors.Join(m.closePrograms(), m.faces.remove())
	m.view = view{}
	m.problem("remove", err)
	return err
}

// Remove does what [Manager.Down] does if no manager runs. ErrAttended if one does.
func Remove(pin string, ns *netns.NS) error {
	attended, err := bypass.Attended(pin)
	if err != nil {
		return err
	}
	if attended {
		return fmt.Errorf("%w: stop it, or wait 3 seconds if it was killed", ErrAttended)
	}
	return bypass.Remove(pin, ns)
}

// active returns the IDs of the tenants that have a fast path, in order.
func (m *Manager) active() []string {
	var ids []string
	if m.set == nil || m.down {
		return nil
	}
	for id, mode := range m.modes {
		if mode != flow.Off && m.set.Has(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// problem notes what is wrong, or that it is not any more. It must be called with the lock. What is
// new is logged.
func (m *Manager) problem(about string, err error) {
	if err == nil {
		delete(m.problems, about)
		return
	}
	text := sentence(err.Error())
	if m.problems[about] != text {
		m.log.Error("fast path", "problem", text)
	}
	m.problems[about] = text
}

// note is problem for those that do not have the lock.
func (m *Manager) note(about string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problem(about, err)
}

// Run keeps the fast path in force until ctx is done; then it returns nil, and everything takes
// the kernel's path. If the host's changes cannot be followed it tries again and again, and
// nothing is fast meanwhile.
func (m *Manager) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := m.runOnce(ctx); !errors.Is(err, errNone) {
			m.pause(ctx, err)
		}
	}
	return nil
}

// runOnce keeps the fast path in force or, if nobody has one, takes it out of the kernel.
func (m *Manager) runOnce(ctx context.Context) error {
	m.mu.Lock()
	if len(m.active()) > 0 {
		if m.began.IsZero() {
			m.began = time.Now()
		}
		m.mu.Unlock()
		return m.attend(ctx)
	}
	defer m.mu.Unlock()
	m.began = time.Time{}
	return m.remove()
}

// pause waits until there is something to do: at the latest for so long if something failed.
func (m *Manager) pause(ctx context.Context, failed error) {
	var timer <-chan time.Time
	if failed != nil && !errors.Is(failed, ErrUnsupported) {
		timer = time.After(retryAfter)
	}
	select {
	case <-ctx.Done():
	case <-m.wake:
	case <-timer:
	}
}

// open makes or adopts the programs.
func (m *Manager) open() (programs, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.programs != nil {
		return m.programs, nil
	}
	if err := m.faces.supported(); err != nil {
		if m.unsupported == "" {
			m.log.Warn("there is no fast path here; everything takes the kernel's path", "because", err)
		}
		m.unsupported = sentence(err.Error())
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	m.unsupported = ""
	p, err := m.faces.open(m.shared, roomFor(len(m.active()), m.options.Capacity))
	m.problem("open", err)
	if err != nil {
		return nil, err
	}
	counts, err := p.Counts()
	room, lost := p.Room()
	if err = errors.Join(err, lost, p.SetLease(m.options.Lease), p.SetAgreed(agreed)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	m.meter.open(counts)
	m.programs, m.room, m.view = p, room, view{}
	return p, nil
}
