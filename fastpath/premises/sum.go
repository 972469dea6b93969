// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// To run iptables-save each second would cost more than all else that dwell does, so the table is
// read as iptables-save reads it: by getsockopt(2), as in linux/netfilter_ipv4/ip_tables.h. A
// table of 10,000 rules is read within a few milliseconds.

// Options of getsockopt for both families, and sizes of what they read.
const (
	getInfo    = 64 // IPT_SO_GET_INFO: struct ipt_getinfo
	getEntries = 65 // IPT_SO_GET_ENTRIES: struct ipt_get_entries
	nameSize   = 32
	infoSize   = 84
	sizeAt     = 80 // of ipt_getinfo.size
	listSize   = 40 // of struct ipt_get_entries without entries
)

// entry is how struct ipt_entry and ip6t_entry are laid out.
type entry struct{ next, comefrom, counters, size int }

// layoutOf returns the places of next_offset, comefrom, and the two counters.
func layoutOf(family header.Family) entry {
	if family == header.V6 {
		return entry{next: 142, comefrom: 144, counters: 152, size: 168}
	}
	return entry{next: 90, comefrom: 92, counters: 96, size: 112}
}

// tableSum returns a hash of a table of the thread's namespace, without counters.
func tableSum(family header.Family, table string) (uint64, error) {
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if family == header.V6 {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	for range attempts {
		info := make([]byte, infoSize)
		copy(info[:nameSize-1], table)
		if err := getsockopt(fd, level, getInfo, info); err != nil {
			return 0, err
		}
		size := binary.NativeEndian.Uint32(info[sizeAt:])
		entries := make([]byte, listSize+int(size))
		copy(entries[:nameSize-1], table)
		binary.NativeEndian.PutUint32(entries[nameSize:], size)
		err := getsockopt(fd, level, getEntries, entries)
		if errors.Is(err, unix.EAGAIN) { // the table has become another
			continue
		}
		if err != nil {
			return 0, err
		}
		return sum(layoutOf(family), entries[listSize:])
	}
	return 0, unix.EAGAIN
}

// seed is the same while the process runs, which is as long as hashes are compared.
var seed = maphash.MakeSeed()

// sum hashes entries without what changes by itself.
func sum(at entry, entries []byte) (uint64, error) {
	for n := 0; n < len(entries); {
		e := entries[n:]
		if len(e) < at.size {
			return 0, errors.New("an entry is cut off")
		}
		next := int(binary.NativeEndian.Uint16(e[at.next:]))
		if next < at.size || next > len(e) {
			return 0, errors.New("an entry has no end")
		}
		clear(e[at.comefrom : at.comefrom+4])
		clear(e[at.counters : at.counters+16])
		n += next
	}
	return maphash.Bytes(seed, entries), nil
}

// getsockopt reads an option whose value is also a question.
func getsockopt(fd, level, option int, value []byte) error {
	size := uint32(len(value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
