// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Options say where a [Manager] keeps its state and what it works on.
type Options struct {
	// StateDir is where rules are kept: see the package's documentation.
	StateDir string
	// Pin is the directory of a BPF file system for programs and maps, which is mounted if
	// there is none.
	Pin string
	// IPTables is "auto", "legacy" or "nft". "" is "auto".
	IPTables string
	// MaxRules bounds a tenant's rules for one family; 0 is [DefaultMaxRules].
	MaxRules int
	// NetNS is the hypervisor's network namespace; nil is the process's.
	NetNS *netns.NS
	// Log takes what is repaired and what cannot be.
	Log *slog.Logger
	// WithoutPrograms leaves everything to iptables, to compare with.
	WithoutPrograms bool
	// OnChange is called after rules of the tenant with the number, or the tables made of them, have
	// become others, and before the call that changed them returns. It must not call the manager, but
	// for [Manager.Rules], [Manager.InForce], [Manager.Rule] and [Manager.Host]. May be nil.
	OnChange func(number uint32)
}

// DefaultMaxRules bounds a tenant's rules for one family unless the options say otherwise.
const DefaultMaxRules = 20000

// Errors that callers tell apart, beside [*CommandError].
var (
	// ErrNoTenant: there is no tenant with the ID.
	ErrNoTenant = errors.New("there is no such tenant")
	// ErrNoFirewall: the tenant cannot have a firewall now; the error says why.
	ErrNoFirewall = errors.New("the tenant cannot have a firewall now")
)

// CommandError is something wrong with a command, a file of rules, or the text of a packet: it
// is the caller's to mend. Its text points at the word.
type CommandError struct{ Err error }

// Error returns what is wrong.
func (e *CommandError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the parser.
func (e *CommandError) Unwrap() error { return e.Err }

// Manager keeps the rules of all tenants of a host. Its methods may be called by several
// goroutines.
type Manager struct {
	options Options
	log     *slog.Logger
	faces   *faces
	store   *store
	history *history
	// wake is for Run: tenants have changed.
	wake chan struct{}

	mu      sync.Mutex // for what follows
	set     *tenant.Set
	tenants map[string]*kept
	shared  map[string]*ebpf.Map
	// host and foreign are what was read last; unread is why foreign is nil.
	host    *scope.Host
	foreign *premises.Foreign
	unread  error
}

// New makes a manager, which knows no tenants yet and has changed nothing but that it has the
// state directory for itself.
func New(o Options) (*Manager, error) {
	f, err := newFaces(&o)
	if err != nil {
		return nil, err
	}
	return newManager(o, f)
}

func newManager(o Options, f *faces) (*Manager, error) {
	if o.MaxRules == 0 {
		o.MaxRules = DefaultMaxRules
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := openStore(o.StateDir)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		options: o, log: o.Log, faces: f, store: s, history: newHistory(), wake: make(chan struct{}, 1),
		tenants: map[string]*kept{},
	}
	if f.open == nil {
		f.open = m.openPrograms
	}
	return m, nil
}

// openPrograms makes or adopts the programs of the tenant with the number.
func (m *Manager) openPrograms(number uint32) (programs, error) {
	if m.options.WithoutPrograms {
		return nil, errors.New("programs are turned off")
	}
	d, err := datapath.Open(datapath.Options{Pin: m.options.Pin, Tenant: number, Shared: m.shared, NetNS: m.options.NetNS})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// SetTenants says who the tenants are. Rules of a tenant that is no longer there are taken out
// of force by [Manager.Run]; its files stay, for when it is there again.
func (m *Manager) SetTenants(s *tenant.Set) {
	m.mu.Lock()
	m.set, m.host = s, nil
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// SetTracing gives the programs the tracer's maps, nil to take them away: see
// datapath.Options.Shared.
func (m *Manager) SetTracing(shared map[string]*ebpf.Map) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shared = shared
	var errs []error
	for _, t := range m.tenants {
		if t.programs != nil {
			errs = append(errs, t.programs.SetTracing(shared))
		}
	}
	return errors.Join(errs...)
}

// Close leaves everything in force.
func (m *Manager) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, t := range m.tenants {
		if t.programs != nil {
			errs = append(errs, t.programs.Close())
		}
	}
	m.tenants = map[string]*kept{}
	return errors.Join(append(errs, m.store.close())...)
}

// Rule returns the rule by the numbers that stand in traces: [tenant.Set.Number] and
// [RuleListing.ID]. Rules that are no longer in force are known for a while.
func (m *Manager) Rule(number, id uint32) (Rule, bool) { return m.history.get(number, id) }

// look reads the host, if it is not known.
func (m *Manager) look(ctx context.Context) error {
	if m.host == nil {
		h, err := m.faces.host(m.set)
		if err != nil {
			return fmt.Errorf("reading the host's devices: %w", err)
		}
		m.host = h
		m.history.setHost(h)
	}
	if m.foreign == nil {
		f, err := m.faces.rules(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.foreign, m.unread = f, err
	}
	return nil
}

// tenant returns what is kept of a tenant, which is not in force yet if there was nothing, and
// what of the host is the tenant's.
func (m *Manager) tenant(ctx context.Context, id string) (*kept, *scope.Tenant, error) {
	if !m.set.Has(id) {
		return nil, nil, fmt.Errorf("%w: %q", ErrNoTenant, id)
	}
	m.host, m.foreign = nil, nil // the answer must be about what is there now
	if err := m.look(ctx); err != nil {
		return nil, nil, err
	}
	t := m.tenants[id]
	if t == nil {
		t = newKept(id, m.set.Number(id))
	}
	return t, m.scopeOf(t), nil
}

// premises are what holds for a tenant's packets. If the rules of others cannot be read, nothing
// does that is needed to decide before FORWARD.
func (m *Manager) premises(f header.Family, st *scope.Tenant) *premises.Premises {
	if m.foreign == nil {
		return &premises.Premises{NoTag: fmt.Sprintf("the host's own rules cannot be read: %v", m.unread)}
	}
	return m.foreign.For(f, st, m.host.Local)
}

// freeBit returns the bit of the mark that nobody uses, or 0.
func (m *Manager) freeBit() uint32 {
	if m.foreign == nil {
		return 0
	}
	return m.foreign.FreeBit
}

// state reports whether some rule looks at the state of connections, if the plan n is in force
// for the tenant t.
func (m *Manager) state(t *kept, n *plan) bool {
	if n != nil && n.looksAtState() {
		return true
	}
	for _, other := range m.tenants {
		for f, p := range other.plans {
			if (n == nil || other.id != t.id || f != n.family) && p.looksAtState() {
				return true
			}
		}
	}
	return false
}

// collect adds what programs have counted since the last time.
func (m *Manager) collect(t *kept) {
	if t.programs == nil {
		return
	}
	counts, err := t.programs.Counters()
	t.meter.programs(counts)
	t.problem("counters", errorText(err))
}

// drop removes the tenant's programs.
func (m *Manager) drop(_ context.Context, t *kept) error {
	delete(m.tenants, t.id)
	if t.programs == nil {
		return nil
	}
	err := t.programs.Remove()
	t.programs = nil
	clear(t.ports)
	return err
}

// name tells traces what the rules of a plan are called.
func (m *Manager) name(t *kept, n *plan) {
	var rules []Rule
	for _, c := range n.text.chains.List {
		for i, r := range c.Rules {
			text := r.String()
			rules = append(rules, Rule{
				Tenant: t.id, ID: r.ID, UUID: ruleUUID(t.id, n.family, c.Name, text), Text: text,
				Family: int(n.family), Chain: c.Name, Number: i + 1,
			})
		}
	}
	m.history.put(t.number, n.family, rules, n.set, n.forward)
}

// changed says that a tenant's rules may say something else now.
func (m *Manager) changed(t *kept) {
	if m.options.OnChange != nil {
		m.options.OnChange(t.number)
	}
}

// render writes the file of rules with what they have counted so far.
func (m *Manager) render(t *kept, text *rulesText) string {
	return text.render(func(id uint32) kindsOfCount { return t.meter.kinds(text.chains.Family, id) })
}

// all returns the tenants in order of ID.
func (m *Manager) all() []*kept {
	all := slices.Collect(maps.Values(m.tenants))
	slices.SortFunc(all, func(a, b *kept) int { return strings.Compare(a.id, b.id) })
	return all
}
