// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Doubt is a packet that the kernel treated otherwise than was foretold, although nothing had changed that the
// programs could know of. What changes the way of a packet is in force before the kernel announces it: only if
// nothing is announced afterwards either, it was foretold wrong.
type Doubt struct {
	// Key is that of the packet's flow, which has ended because of it.
	Key         flow.Key
	Slot, Other uint16
	Direction   flow.Direction
	// Epoch is what [Bypass.Epoch] was when the packet was foretold.
	Epoch uint64
	// Ns is when the packet left, in nanoseconds of CLOCK_MONOTONIC.
	Ns uint64
	// Differs says what is otherwise, such as "next hop 192.0.2.3 instead of 192.0.2.2".
	Differs []string
}

// Doubts passes packets that the kernel treated otherwise than was foretold, until ctx ends; then it returns nil. Those for
// which there was no room are counted alone.
func (b *Bypass) Doubts(ctx context.Context, report func(Doubt)) error {
	err := b.readRing(ctx, plainMapDoubts, func(raw []byte) error {
		d, err := decodeDoubt(raw)
		if err == nil {
			report(d)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read which packets were not as was foretold: %w", err)
	}
	return nil
}

// Epoch returns a number that is raised by each change that may concern flows of these tenants. Other may be 0.
func (b *Bypass) Epoch(slot, other uint16) uint64 { return b.memory.epoch(slot, other) }

func decodeDoubt(raw []byte) (d Doubt, err error) {
	var e plainDoubt
	if _, err := binary.Decode(raw, binary.NativeEndian, &e); err != nil {
		return d, fmt.Errorf("a packet's record of %d bytes: %w", len(raw), err)
	}
	return Doubt{
		Key: flowKey(e.Family == unix.AF_INET, &e.Key), Slot: e.Slot, Other: e.Other, Direction: flow.Direction(e.Direction),
		Epoch: e.Epoch, Ns: e.Ns, Differs: e.differs(),
	}, nil
}

// differs says what the kernel did otherwise.
func (e *plainDoubt) differs() (all []string) {
	add := func(what string, is, told any) {
		if is != told {
			all = append(all, fmt.Sprintf("%s %v instead of %v", what, is, told))
		}
	}
	k := flowKey(e.Family == unix.AF_INET, &e.Key)
	is, told := (&plainFlow{Rewrite: e.Is}).rewrite(&k), (&plainFlow{Rewrite: e.Told}).rewrite(&k)
	add("source", netip.AddrPortFrom(is.After.Src, is.After.Sport), netip.AddrPortFrom(told.After.Src, told.After.Sport))
	add("destination", netip.AddrPortFrom(is.After.Dst, is.After.Dport), netip.AddrPortFrom(told.After.Dst, told.After.Dport))
	add("device", is.Out, told.Out)
	add("next hop", is.NextHop, told.NextHop)
	add("Ethernet destination", mac(is.Dst), mac(told.Dst))
	add("Ethernet source", mac(is.Src), mac(told.Src))
	add("Ethernet destination on arrival", mac(is.FromDst), mac(told.FromDst))
	add("Ethernet source on arrival", mac(is.FromSrc), mac(told.FromSrc))
	add("mark", is.Mark, told.Mark)
	add("mark on arrival", is.MarkIn, told.MarkIn)
	add("priority", e.Is.Priority, e.Told.Priority)
	add("class", is.TOS, told.TOS)
	add("flow label", e.Is.Label, e.Told.Label)
	add("tunnel's network", is.VNI, told.VNI)
	add("tunnel's headers", fmt.Sprintf("%x", is.Outer), fmt.Sprintf("%x", told.Outer))
	add("hash for the tunnel", e.Is.Hash, e.Told.Hash)
	add("flags of the way", e.Is.Flags, e.Told.Flags)
	add("length", e.Len, e.ToldLen)
	add("checksum left to a device", e.Summed != 0, e.ToldSummed != 0)
	front, toldFront := binaryOf(e.Front), binaryOf(e.ToldFront)
	if i := firstDifference(front, toldFront); i >= 0 {
		add(fmt.Sprintf("headers, from byte %d of the frame on,", i-frontAt), fmt.Sprintf("%x", front[i:]), fmt.Sprintf("%x", toldFront[i:]))
	}
	return all
}

func mac(m flow.MAC) string { return net.HardwareAddr(m[:]).String() }

// frontAt is where the frame begins in struct front of c/front.h.
const frontAt = 2

func binaryOf(front any) []byte {
	b, err := binary.Append(nil, binary.NativeEndian, front)
	if err != nil {
		panic(err) // a structure of fixed size cannot fail
	}
	return b
}

// firstDifference returns where two that are equally long differ first, or -1.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	i := 0
	for a[i] == b[i] {
		i++
	}
	return i
}
