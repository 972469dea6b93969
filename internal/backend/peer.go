// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerOf returns who has connected to a unix socket, as the kernel knew it at that moment:
// the user, and the effective and supplementary groups.
func peerOf(c *net.UnixConn) (*caller, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var groups []uint32
	var inner error
	err = raw.Control(func(fd uintptr) {
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner == nil {
			groups, inner = peerGroups(fd)
		}
	})
	if err := errors.Join(err, inner); err != nil {
		return nil, fmt.Errorf("who has connected: %w", err)
	}
	gids := slices.DeleteFunc(append([]uint32{cred.Gid}, groups...), func(g uint32) bool { return g == unmapped })
	p := &caller{key: "uid " + strconv.FormatUint(uint64(cred.Uid), 10), local: true, uid: cred.Uid, gids: gids}
	if p.uid == unmapped {
		return nil, errors.New("who has connected: the user has no number in the agent's user namespace")
	}
	return p, nil
}

// fewGroups is how many groups most processes have at most.
const fewGroups = 32

// peerGroups reads SO_PEERGROUPS (Linux 4.13), for which package unix has no function.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, fewGroups)
	for {
		size := uint32(len(groups)) * 4
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && size/4 > uint32(len(groups)):
			groups = make([]uint32, size/4)
		default:
			return nil, os.NewSyscallError("getsockopt", errno)
		}
	}
}
