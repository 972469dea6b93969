// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// As in linux/netfilter_bridge/ebtables.h.
const (
	ebtGetInfo   = 128 // EBT_SO_GET_INFO: struct ebt_replace
	ebtNameSize  = 32
	ebtEntriesAt = 36 // of its nentries, on 64 bits
	ebtInfoSize  = 120
)

// bridgeRules returns what is in the tables of legacy ebtables, which are not announced, or "". A table
// whose module is not there is not asked for, because the kernel would load it.
func bridgeRules() (string, error) {
	for _, table := range []string{"broute", "filter", "nat"} {
		if _, err := os.Stat("/sys/module/ebtable_" + table); err != nil {
			continue
		}
		n, err := ebtEntries(table)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT) {
			continue
		}
		if err != nil {
			return "", err
		}
		if n > 0 {
			return fmt.Sprintf("the table %s of legacy ebtables has rules (%d), which would be passed over", table, n), nil
		}
	}
	return "", nil
}

// ebtEntries returns how many rules a table has.
func ebtEntries(table string) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	info := make([]byte, ebtInfoSize)
	copy(info[:ebtNameSize-1], table)
	size := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_IP, ebtGetInfo,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return binary.NativeEndian.Uint32(info[ebtEntriesAt:]), nil
}
