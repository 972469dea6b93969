// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// As in c/maps.h: the elements of the map epochs.
const (
	epochAll = 0
	epochAny = MaxTenants
	epochs   = MaxTenants + 1
)

// maxLease is the longest lease.
const maxLease = time.Minute

// memory is the maps that the programs read for each packet and user space writes, in this process's
// memory: a change is in force at once, without asking the kernel.
type memory struct {
	mu       sync.RWMutex // what is mapped must stay so while it is written
	mapped   [][]byte
	settings *plainSetting
	epochs   *[epochs]uint64
}

func (m *memory) open(settings, counters *ebpf.Map) error {
	for _, of := range []struct {
		m    *ebpf.Map
		size uintptr
		put  func(unsafe.Pointer)
	}{
		{settings, unsafe.Sizeof(plainSetting{}), func(p unsafe.Pointer) { m.settings = (*plainSetting)(p) }},
		{counters, unsafe.Sizeof([epochs]uint64{}), func(p unsafe.Pointer) { m.epochs = (*[epochs]uint64)(p) }},
	} {
		bytes, err := unix.Mmap(of.m.FD(), 0, int(of.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map the settings into memory: %w", err)
		}
		m.mapped = append(m.mapped, bytes)
		of.put(unsafe.Pointer(unsafe.SliceData(bytes)))
	}
	return nil
}

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, bytes := range m.mapped {
		errs = append(errs, unix.Munmap(bytes))
	}
	m.mapped, m.settings, m.epochs = nil, nil, nil
	return errors.Join(errs...)
}

// set writes a setting. After close it does nothing.
func (m *memory) set(field func(*plainSetting) *uint32, value uint32) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.settings != nil {
		atomic.StoreUint32(field(m.settings), value)
	}
}

// isNew reports whether nobody has written settings yet.
func (m *memory) isNew() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.settings != nil && atomic.LoadUint32(&m.settings.Lease) == 0
}

// Hold stops all fast sending at once, or allows it again.
func (b *Bypass) Hold(held bool) {
	var value uint32
	if held {
		value = 1
	}
	b.memory.set(func(s *plainSetting) *uint32 { return &s.Held }, value)
}

// Changed says that something changed that concerns the tenants of these slots, or all if there is
// none or one is 0: each flow is believed again when the kernel has treated one more of its packets as
// before. That is so for packets that arrive after it has returned.
func (b *Bypass) Changed(slots ...uint16) {
	m := &b.memory
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.epochs == nil {
		return
	}
	// First: who sees that the number of a tenant has not changed yet sees that some has.
	atomic.AddUint64(&m.epochs[epochAny], 1)
	if len(slots) == 0 || slices.ContainsFunc(slots, func(slot uint16) bool { return !isSlot(slot) }) {
		slots = []uint16{epochAll}
	}
	for _, slot := range slots {
		atomic.AddUint64(&m.epochs[slot], 1)
	}
}

// NewApproval makes all flows be asked for again, each by its next slow packet, and returns the
// number of approvals that count from now on. It is 0 after Close.
func (b *Bypass) NewApproval() uint32 {
	m := &b.memory
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.settings == nil {
		return 0
	}
	for {
		if n := atomic.AddUint32(&m.settings.Approval, 1); n != 0 { // which is none
			return n
		}
	}
}

// Approval returns the number of approvals that count now. It is 0 after Close.
func (b *Bypass) Approval() uint32 {
	m := &b.memory
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.settings == nil {
		return 0
	}
	return atomic.LoadUint32(&m.settings.Approval)
}

// epoch returns the sum of what a flow of these slots depends on: epoch_of in c/flow.h.
func (m *memory) epoch(slot, other uint16) uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.epochs == nil {
		return 0
	}
	sum := atomic.LoadUint64(&m.epochs[epochAll])
	if isSlot(slot) {
		sum += atomic.LoadUint64(&m.epochs[slot])
	}
	if isSlot(other) && other != slot {
		sum += atomic.LoadUint64(&m.epochs[other])
	}
	return sum
}

// SetLease says how long a flow is believed at most before the kernel has to see a packet of it
// again. The kernel's timeout of the connection may make it shorter.
func (b *Bypass) SetLease(d time.Duration) error {
	jiffies := int64(d) * int64(b.kernel.hz) / int64(time.Second)
	if d > maxLease || jiffies < 1 {
		return fmt.Errorf("%v is not a valid lease: it must be from %v to %v", d, time.Second/time.Duration(b.kernel.hz), maxLease)
	}
	b.memory.set(func(s *plainSetting) *uint32 { return &s.Lease }, uint32(jiffies))
	return nil
}

// SetAgreed says how many packets must be alike, in each direction, before one is sent fast.
func (b *Bypass) SetAgreed(packets int) error {
	if packets < 1 || packets > math.MaxUint16 {
		return fmt.Errorf("%d packets are not valid as the number that must be alike: it must be from 1 to %d", packets, math.MaxUint16)
	}
	b.memory.set(func(s *plainSetting) *uint32 { return &s.Agreed }, uint32(packets))
	return nil
}

// SetTunnels says which UDP port is VXLAN's; 0 for none.
func (b *Bypass) SetTunnels(port uint16) error {
	b.memory.set(func(s *plainSetting) *uint32 { return &s.Ports }, uint32(networkOrder(port)))
	return nil
}
