// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// What the zero Options stand for.
const (
	// DefaultRingBytes holds about 800,000 events on IPv4: those of some 30,000 pings
	// through the lab's bridge topology.
	DefaultRingBytes = 64 << 20
)

const (
	maxRingBytes = 1 << 30
	// minPerCPU is how much of a ring a CPU has at least, unless less than that was asked for.
	// A CPU fills that in 10 ms at most, and the reader has more than half of it from its wake-up
	// until it runs.
	minPerCPU = 1 << 20
	// maxPerCPU is half of what the verifier lets a program find a place in.
	maxPerCPU = 1 << 28
)

// Options say how to load the programs. The zero value is the default. They need no later
// kernel than the package does.
type Options struct {
	// RingBytes is the size in bytes of the ring buffers of all CPUs together, rounded up to a
	// power of two and at least a page. Each CPU that runs at Load has an equal part, rounded up
	// as well, of at least 1 MiB (or RingBytes, if that is less) and at most 256 MiB. The
	// kernel allocates all of it at once. 0 means DefaultRingBytes; the largest is 1 GiB.
	RingBytes int
	// VXLANPorts are the UDP destination ports that carry VXLAN. nil means VXLANPort and
	// LegacyVXLANPort; an empty list means none. VXLANGPEPort, GenevePort and GREPort always
	// carry what IANA assigned them to, and those of the kernel's own devices can be added
	// later; see [Tracer.SetTunnelPorts].
	VXLANPorts []uint16
	// Key is the secret of the hash by which gates choose pings: hosts with the same one choose
	// the same pings. Who knows it can send pings that all pass.
	Key [16]byte
	// Types are the running kernel's types, for which all that need them can share one: it takes
	// 10 ms to read them, and 2 MB to keep them. nil means to read them whenever they are needed.
	Types *btf.Cache
}

// types returns where to get the kernel's types.
func (o Options) types() *btf.Cache {
	if o.Types == nil {
		return btf.NewCache()
	}
	return o.Types
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

// perCPU returns the size of each CPU's part of what the rings have together, a power of two.
func perCPU(ring uint32, cpus int) uint64 {
	part := max(uint64(ring)/uint64(cpus), min(uint64(ring), minPerCPU))
	return min(uint64(1)<<bits.Len64(part-1), maxPerCPU)
}

// runningCPUs returns how many CPUs there are up to the last that runs. Those that are added later
// share what these have, so it does not matter if the system does not tell the truth.
func runningCPUs() (int, error) {
	const file = "/sys/devices/system/cpu/online"
	list, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("count CPUs: %w", err)
	}
	n, err := lastCPU(string(list))
	if err != nil {
		return 0, fmt.Errorf("count CPUs: %s: %w", file, err)
	}
	return n + 1, nil
}

// lastCPU returns the last number in a list like "0-3,8-11".
func lastCPU(list string) (int, error) {
	list = strings.TrimSpace(list)
	last, err := strconv.ParseUint(list[strings.LastIndexAny(list, "-,")+1:], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a valid list of CPUs", list)
	}
	return int(last), nil
}

// wakeFraction: the reader is woken once such a part of a CPU's ring is unread.
const wakeFraction = 4

// wake returns the unread bytes from which on to wake the reader, and how many are written between
// two looks at whether there are as many.
func wake(ring uint64) (threshold, step uint64) {
	return ring / wakeFraction, ring / (2 * wakeFraction)
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
	cpus, err := runningCPUs()
	if err != nil {
		return err
	}
	spec.Maps[kernelMapTunnelPorts].Contents = []ebpf.MapKV{{Key: uint32(0), Value: inNetworkOrder(ports)}}
	key := [2]uint64{binary.LittleEndian.Uint64(o.Key[:8]), binary.LittleEndian.Uint64(o.Key[8:])}
	if err := vars.TraceKey.Set(key); err != nil {
		return err
	}
	if err := vars.GateKeys.Set([6]uint32{rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32(), rand.Uint32()}); err != nil {
		return err
	}
	return sizeRings(spec, &vars, cpus, perCPU(ring, cpus))
}

// sizeRings sets how many rings there are and the size of each.
func sizeRings(spec *ebpf.CollectionSpec, vars *kernelVariableSpecs, count int, each uint64) error {
	threshold, step := wake(each)
	events := spec.Maps[kernelMapEvents]
	events.MaxEntries, events.ValueSize = uint32(count), uint32(ringHeader+each+ringGuard)
	return errors.Join(
		vars.RingCount.Set(uint32(count)), vars.RingMask.Set(each-1),
		vars.WakeBytes.Set(threshold), vars.WakeStep.Set(step),
	)
}
