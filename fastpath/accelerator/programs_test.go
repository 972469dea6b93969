// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePrograms note what is done to them.
type fakePrograms struct {
	mu       sync.Mutex
	did      []string
	changed  chan struct{} // receives after each thing that is done
	tenants  []bypass.Tenant
	devices  []bypass.Device
	lost     int // a device that has lost its programs
	held     bool
	approval uint32
	flows    map[flow.Key]*flow.Flow
	counts   []bypass.Counts
	usage    map[uint16]int
	room     int
	ask      func(bypass.Candidate)
	asking   chan struct{}
	failAsk  chan error
	doubt    func(bypass.Doubt)
	epoch    uint64
	settled  map[flow.Key]string
	shared   map[string]*ebpf.Map
}

func newFakePrograms() *fakePrograms {
	return &fakePrograms{
		changed: make(chan struct{}, 1), flows: map[flow.Key]*flow.Flow{}, usage: map[uint16]int{}, asking: make(chan struct{}, 1),
		room: leastRoom, failAsk: make(chan error, 1), settled: map[flow.Key]string{},
	}
}

// do notes something, without the lock of whoever calls.
func (f *fakePrograms) do(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf(format, args...))
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// take returns what was done, and forgets it.
func (f *fakePrograms) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	did := f.did
	f.did = nil
	return did
}

func (f *fakePrograms) Hold(held bool) {
	f.mu.Lock()
	f.held = held
	f.mu.Unlock()
	f.do("hold %t", held)
}
func (f *fakePrograms) Changed(slots ...uint16) { f.do("changed %v", slots) }
func (f *fakePrograms) SetTenants(t []bypass.Tenant) error {
	f.mu.Lock()
	f.tenants = t
	f.mu.Unlock()
	f.do("tenants")
	return nil
}

func (f *fakePrograms) SetDevices(d []bypass.Device) error {
	f.mu.Lock()
	f.devices, f.lost = d, 0
	f.mu.Unlock()
	f.do("devices")
	return nil
}

func (f *fakePrograms) SetTunnels(port uint16) error {
	f.do("tunnels %d", port)
	return nil
}

func (f *fakePrograms) Attached() ([]bypass.AttachedDevice, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []bypass.AttachedDevice
	for _, d := range f.devices {
		list = append(list, bypass.AttachedDevice{Device: d, Ingress: d.Index != f.lost, Egress: true})
	}
	return list, nil
}
func (f *fakePrograms) Repin() (bool, error)           { return false, nil }
func (f *fakePrograms) Beat() error                    { f.do("beat"); return nil }
func (f *fakePrograms) Rest() error                    { f.do("rest"); return nil }
func (f *fakePrograms) SetLease(d time.Duration) error { f.do("lease %s", d); return nil }
func (f *fakePrograms) SetAgreed(int) error            { return nil }
func (f *fakePrograms) NewApproval() uint32 {
	f.mu.Lock()
	f.approval++
	n := f.approval
	f.mu.Unlock()
	f.do("approval %d", n)
	return n
}

func (f *fakePrograms) Approval() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.approval
}

func (f *fakePrograms) Candidates(ctx context.Context, ask func(bypass.Candidate)) error {
	f.mu.Lock()
	f.ask = ask
	f.mu.Unlock()
	select {
	case f.asking <- struct{}{}:
	default:
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-f.failAsk:
		return err
	}
}

func (f *fakePrograms) Doubts(ctx context.Context, report func(bypass.Doubt)) error {
	f.mu.Lock()
	f.doubt = report
	f.mu.Unlock()
	f.do("doubts")
	<-ctx.Done()
	return nil
}

func (f *fakePrograms) Epoch(uint16, uint16) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

func (f *fakePrograms) Look(c bypass.Candidate) (forth, back *flow.Flow, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, b := f.flows[c.Forth], f.flows[c.Back]
	if a == nil || b == nil {
		return nil, nil, bypass.ErrGone
	}
	x, y := *a, *b
	return &x, &y, nil
}

func (f *fakePrograms) settle(forth, back *flow.Flow, what string) error {
	f.mu.Lock()
	f.settled[forth.Key], f.settled[back.Key] = what, what
	f.mu.Unlock()
	f.do("settle")
	return nil
}

func (f *fakePrograms) Approve(forth, back *flow.Flow, n uint32) error {
	return f.settle(forth, back, fmt.Sprintf("approved %d", n))
}

func (f *fakePrograms) Refuse(forth, back *flow.Flow, n uint32, r flow.Reason, detail uint32) error {
	return f.settle(forth, back, fmt.Sprintf("refused %d %s %d", n, r, detail))
}

func (f *fakePrograms) Flows(each func(*flow.Flow) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, entry := range f.flows {
		if !each(entry) {
			return nil
		}
	}
	return nil
}

func (f *fakePrograms) Sweep(context.Context, time.Duration) (int, error) {
	f.do("sweep")
	return 0, nil
}

func (f *fakePrograms) Flush(slot uint16) (int, error) { f.do("flush %d", slot); return 3, nil }

func (f *fakePrograms) Counts() ([]bypass.Counts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.counts), nil
}

func (f *fakePrograms) Usage() (map[uint16]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usage, nil
}

func (f *fakePrograms) Room() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.room, nil
}
func (f *fakePrograms) Unasked() (uint64, error) { return 7, nil }
func (f *fakePrograms) SetTracing(shared map[string]*ebpf.Map) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shared = shared
	return nil
}
func (f *fakePrograms) Close() error { f.do("close"); return nil }
