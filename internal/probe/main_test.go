// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	one = netip.MustParseAddr("192.0.2.1")
	two = netip.MustParseAddr("2001:db8::2")
)

// gateway is a probe that pings once a second.
func gateway(refs ...string) Probe {
	return Probe{Name: "gateway", NetNS: refs, Targets: []netip.Addr{one}, Interval: time.Second, Timeout: time.Second, Size: 56}
}

var plenty = Limits{Rate: 1000, TenantRate: 1000, Pairs: 1000}

// world is namespaces, which are numbered from 1 on.
type world struct {
	mu   sync.Mutex
	all  map[uint32]*trace.NetNS
	next uint32
}

func newWorld(names ...string) *world {
	w := &world{all: map[uint32]*trace.NetNS{}}
	for _, name := range names {
		w.add(name, "")
	}
	return w
}

// add makes a namespace of a tenant.
func (w *world) add(name, tenant string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	w.all[w.next] = &trace.NetNS{Inode: w.next, Name: name, Tenant: tenant}
}

// remove removes those with a name.
func (w *world) remove(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for inode, ns := range w.all {
		if ns.Name == name {
			delete(w.all, inode)
		}
	}
}

// replace puts a new namespace where one with another name was, with the same inode number.
func (w *world) replace(name, by string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for inode, ns := range w.all {
		if ns.Name == name {
			w.all[inode] = &trace.NetNS{Inode: inode, Name: by}
		}
	}
}

// give makes the namespaces with a name a tenant's.
func (w *world) give(name, tenant string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for inode, ns := range w.all {
		if ns.Name == name {
			w.all[inode] = &trace.NetNS{Inode: inode, Name: name, Tenant: tenant}
		}
	}
}

// Find implements Namespaces; "*" means all.
func (w *world) Find(ref string) []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var inodes []uint32
	for inode, ns := range w.all {
		if ref == ns.Name || ref == "*" {
			inodes = append(inodes, inode)
		}
	}
	return inodes
}

// NetNS implements Namespaces.
func (w *world) NetNS(inode uint32) *trace.NetNS {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ns := w.all[inode]; ns != nil {
		return ns
	}
	return &trace.NetNS{Inode: inode, Name: "gone"}
}

// Open implements Namespaces.
func (w *world) Open(inode uint32) (*netns.NS, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[inode] == nil {
		return nil, inventory.ErrGone
	}
	return &netns.NS{}, nil
}

// sent is one ping and when it was sent.
type sent struct {
	ping
	at time.Time
}

// rig is a prober whose pings are answered as a test says, in a time of its own.
type rig struct {
	*Prober
	t     *testing.T
	world *world
	stop  context.CancelFunc

	mu      sync.Mutex
	pings   []sent
	results []Result
	// answer is called for each ping.
	answer func(ctx context.Context, p ping) (time.Duration, error)
}

// begin runs a prober until the test is over, within a bubble of synctest.
func begin(t *testing.T, w *world, limits Limits, probes ...Probe) *rig {
	t.Helper()
	r := &rig{t: t, world: w}
	r.answer = func(context.Context, ping) (time.Duration, error) { return time.Millisecond, nil }
	r.Prober = New(Options{TraceWait: 3 * time.Second, Record: r.record, send: r.ping, random: func() float64 { return 0.5 }})
	r.Set(probes, limits)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, w)
	}()
	r.stop = func() {
		stop()
		<-done
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) record(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
}

func (r *rig) ping(ctx context.Context, _ *netns.NS, p ping) (time.Duration, error) {
	r.mu.Lock()
	r.pings = append(r.pings, sent{p, time.Now()})
	answer := r.answer
	r.mu.Unlock()
	return answer(ctx, p)
}

// answers says how pings are answered from now on.
func (r *rig) answers(with func(ctx context.Context, p ping) (time.Duration, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = with
}

// after lets time pass, and returns the pings and the results of that time.
func (r *rig) after(d time.Duration) ([]sent, []Result) {
	<-time.After(d) // in the time of the bubble
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	pings, results := r.pings, r.results
	r.pings, r.results = nil, nil
	return pings, results
}

// outcomes counts results by outcome.
func outcomes(results []Result) map[Outcome]int {
	n := map[Outcome]int{}
	for _, r := range results {
		n[r.Outcome]++
	}
	return n
}

// targets lists the targets of pings in order, each once.
func targetsOf(pings []sent) []string {
	var all []string
	for _, p := range pings {
		all = append(all, p.target.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// names lists the namespaces of what is being probed.
func (r *rig) names() (all []string) {
	for _, s := range r.Stats().States {
		all = append(all, s.NetNS)
	}
	return all
}
