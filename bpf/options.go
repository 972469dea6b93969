// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"math/bits"
	"os"

	"github.com/cilium/ebpf"
)

// What the zero Options stand for.
const (
	// DefaultRingBytes holds about 800,000 events on IPv4: those of some 30,000 pings
	// through the lab's bridge topology.
	DefaultRingBytes = 64 << 20
)

// maxRingBytes is the kernel's limit for max_entries rounded to a power of two.
const maxRingBytes = 1 << 30

// Options say how to load the programs. The zero value is the default. They need no later
// kernel than the package does.
type Options struct {
	// RingBytes is the size of the ring buffer in bytes, rounded up to a power of
	// two and at least a page. The kernel allocates it at once. 0 means
	// DefaultRingBytes; the largest is 1 GiB.
	RingBytes int
	// VXLANPorts are the UDP destination ports that carry VXLAN. nil means VXLANPort and
	// LegacyVXLANPort; an empty list means none. VXLANGPEPort, GenevePort and GREPort always
	// carry what IANA assigned them to, and those of the kernel's own devices can be added
	// later; see [Tracer.SetTunnelPorts].
	VXLANPorts []uint16
	// GateSeed decides which pings the gates let through: hosts with the same seed choose the
	// same ones. Who knows it can send pings that all pass.
	GateSeed uint64
}

func (o Options) ringBytes() (uint32, error) {
	n := o.RingBytes
	if n == 0 {
		n = DefaultRingBytes
	}
	if n < 0 || n > maxRingBytes {
		return 0, fmt.Errorf("ring buffer of %d bytes: must be between 1 and %d", n, maxRingBytes)
	}
	n = max(n, os.Getpagesize())
	return 1 << bits.Len32(uint32(n-1)), nil
}

// Wake-ups: the reader is woken once a wakeFraction-th of the ring is unread. The
// programs look each wakeEvery events, or so often on a small ring that it cannot
// fill between two looks.
const (
	wakeFraction = 4
	wakeEvery    = 64
)

// wake returns the unread bytes from which on to wake the reader, and the mask of
// a CPU's event number that says when to look.
func wake(ring uint32) (threshold, mask uint64) {
	every := uint64(ring) / wakeFraction / (widestRecord + ringHeader)
	every = min(max(every, 1), wakeEvery)
	return uint64(ring) / wakeFraction, 1<<(bits.Len64(every)-1) - 1
}

// spec returns what is to be loaded, with the options in it.
func (o Options) spec() (*ebpf.CollectionSpec, error) {
	spec, err := loadKernel()
	if err != nil {
		return nil, err
	}
	return spec, o.apply(spec)
}

// apply writes the options into what is going to be loaded.
func (o Options) apply(spec *ebpf.CollectionSpec) error {
	ring, err := o.ringBytes()
	if err != nil {
		return err
	}
	ports, err := o.tunnelPorts(nil)
	if err != nil {
		return err
	}
	var vars kernelVariableSpecs
	if err := spec.Assign(&vars); err != nil {
		return err
	}
	threshold, mask := wake(ring)
	spec.Maps[kernelMapEvents].MaxEntries = ring
	spec.Maps[kernelMapTunnelPorts].Contents = []ebpf.MapKV{{Key: uint32(0), Value: inNetworkOrder(ports)}}
	if err := vars.WakeBytes.Set(threshold); err != nil {
		return err
	}
	if err := vars.GateSeed.Set(o.GateSeed); err != nil {
		return err
	}
	return vars.WakeMask.Set(mask)
}
