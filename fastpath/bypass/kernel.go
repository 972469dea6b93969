// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// noExtension is what a kind of extension is that the kernel does not have.
const noExtension = 255

// kernel is what the programs must be told of the running kernel.
type kernel struct {
	hz uint32 // ticks a second
	// conntrack are offsets and sizes in struct nf_conn and struct nf_conntrack_tuple_hash, in bytes, by the
	// name of the programs' constant. It is empty if the kernel cannot track connections.
	conntrack map[string]uint32
}

// constants are the values of the programs' constants.
func (k *kernel) constants() map[string]uint32 {
	all := map[string]uint32{
		plainVarHz:        k.hz,
		plainVarExtHelper: noExtension, plainVarExtSeqadj: noExtension, plainVarExtSynproxy: noExtension,
	}
	for _, name := range conntrackNames() {
		all[name] = 0
	}
	for name, value := range k.conntrack {
		all[name] = value
	}
	return all
}

// readKernel asks the kernel what it is like.
func readKernel(types *btf.Cache) (kernel, error) {
	hz, err := readHZ()
	if err != nil {
		return kernel{}, err
	}
	k := kernel{hz: hz}
	if spec, err := types.Kernel(); err == nil {
		k.conntrack = readConntrack(spec)
	}
	if spec := pinned.Conntrack(types); k.conntrack == nil && spec != nil {
		k.conntrack = readConntrack(spec)
	}
	return k, nil
}

// readHZ returns how many jiffies a second has. The resolution of the coarse clocks is that of a
// jiffy: see posix_get_coarse_res in kernel/time/posix-timers.c, which returns TICK_NSEC.
func readHZ() (uint32, error) {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil {
		return 0, fmt.Errorf("length of a jiffy: %w", err)
	}
	ns := tick.Nano()
	if ns <= 0 || ns > int64(time.Second) {
		return 0, fmt.Errorf("%w: a jiffy of %d ns is not a valid one", ErrUnsupported, ns)
	}
	return uint32((int64(time.Second) + ns/2) / ns), nil
}

// conntrackNames are the constants that readConntrack finds.
func conntrackNames() []string {
	return []string{
		plainVarNfConnTimeout, plainVarNfConnExt, plainVarNfConnTcpState,
		plainVarNfConnTcpFlags0, plainVarNfConnTcpFlags1, plainVarNfConnZoned,
	}
}

// As struct conn of c/track.h: what the programs read at once.
const (
	tupleHashSize = 56
	tupleAt       = 16
	tcpConnSize   = 32 // of struct tcp_conn
)

// readConntrack returns what a description says of connections, or nil unless it says all that is
// needed: then the programs take no connection for one that they can rely on.
func readConntrack(spec *btf.Spec) map[string]uint32 {
	var conn, hash *btf.Struct
	var kinds *btf.Enum
	if spec.TypeByName("nf_conn", &conn) != nil || spec.TypeByName("nf_conntrack_tuple_hash", &hash) != nil ||
		spec.TypeByName("nf_ct_ext_id", &kinds) != nil {
		return nil
	}
	found := map[string]uint32{}
	for name, path := range map[string][]string{
		plainVarNfConnTimeout: {"timeout"}, plainVarNfConnExt: {"ext"},
		plainVarNfConnTcpState: {"proto", "tcp", "state"}, plainVarNfConnTcpFlags0: {"proto", "tcp", "seen"},
	} {
		offset, ok := pinned.Offset(conn, path...)
		if !ok {
			return nil
		}
		found[name] = offset
	}
	// Without CONFIG_NF_CONNTRACK_ZONES there are none, and all connections are in zone 0.
	if _, ok := pinned.Offset(conn, "zone", "id"); ok {
		found[plainVarNfConnZoned] = 1
	}
	flags, size, ok := tcpFlags(conn)
	if !ok || !readAtOnce(conn, hash) {
		return nil
	}
	found[plainVarNfConnTcpFlags0] += flags
	found[plainVarNfConnTcpFlags1] = found[plainVarNfConnTcpFlags0] + size
	if size >= tcpConnSize || found[plainVarNfConnTcpState]-found[plainVarNfConnTcpFlags0] >= tcpConnSize {
		return nil
	}
	for name, kind := range map[string]string{
		plainVarExtHelper: "NF_CT_EXT_HELPER", plainVarExtSeqadj: "NF_CT_EXT_SEQADJ", plainVarExtSynproxy: "NF_CT_EXT_SYNPROXY",
	} {
		if value, ok := valueOf(kinds, kind); ok {
			found[name] = uint32(value)
		}
	}
	return found
}

// readAtOnce reports whether the timeout, the zone, the two tuples and the status are where the programs expect them.
func readAtOnce(conn, hash *btf.Struct) bool {
	at := map[string]uint32{}
	for _, name := range []string{"timeout", "tuplehash", "status"} {
		offset, ok := pinned.Offset(conn, name)
		if !ok {
			return false
		}
		at[name] = offset
	}
	if zone, ok := pinned.Offset(conn, "zone", "id"); ok && zone != at["timeout"]+4 {
		return false
	}
	tuple, ok := pinned.Offset(hash, "tuple")
	return ok && hash.Size == tupleHashSize && tuple == tupleAt &&
		at["tuplehash"] == at["timeout"]+8 && at["status"] == at["tuplehash"]+2*tupleHashSize
}

// tcpFlags returns where flags are in what is known of each of TCP's directions, and how large
// that is, in bytes.
func tcpFlags(conn *btf.Struct) (offset, size uint32, ok bool) {
	t, ok := pinned.Member(conn, "proto", "tcp", "seen")
	if !ok {
		return 0, 0, false
	}
	seen, ok := btf.UnderlyingType(t).(*btf.Array)
	if !ok {
		return 0, 0, false
	}
	one, ok := btf.UnderlyingType(seen.Type).(*btf.Struct)
	if !ok {
		return 0, 0, false
	}
	offset, ok = pinned.Offset(one, "flags")
	return offset, one.Size, ok
}
