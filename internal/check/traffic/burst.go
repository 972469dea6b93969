// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// burst is how many datagrams are sent before they are received: few enough for the buffer of a socket.
const burst = 64

// Bursts sends datagrams of a size in bytes from one namespace to an IPv4 address of another for as long
// as that, a burst after the other, and receives each burst before the next. It returns how many were
// received, and within what time. One that does not arrive within 5 seconds is an error.
//
// One thread does all of it, because the scheduler would otherwise be most of what is measured.
func Bursts(from, to *netns.NS, at netip.AddrPort, size int, length time.Duration) (datagrams uint64, took time.Duration, err error) {
	addr := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	in, err := socket(to, unix.SOCK_DGRAM)
	if err != nil {
		return 0, 0, err
	}
	defer closeFD(in)
	if err := unix.Bind(in, addr); err != nil {
		return 0, 0, fmt.Errorf("receive at %v: %w", at, err)
	}
	out, err := socket(from, unix.SOCK_DGRAM)
	if err != nil {
		return 0, 0, err
	}
	defer closeFD(out)
	if err := unix.Connect(out, addr); err != nil {
		return 0, 0, err
	}
	err = pinned(func() error {
		data := make([]byte, size)
		begin := time.Now()
		for took < length {
			if err := oneBurst(out, in, data); err != nil {
				return err
			}
			datagrams += burst
			took = time.Since(begin)
		}
		return nil
	})
	return datagrams, took, err
}

func oneBurst(out, in int, data []byte) error {
	for range burst {
		if err := atOnce(unix.SYS_SENDTO, out, data); err != nil && !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("send a datagram: %w", err)
		} else if err != nil {
			if _, err := again(func() (int, error) { return unix.Write(out, data) }); err != nil {
				return fmt.Errorf("send a datagram: %w", err)
			}
		}
	}
	for range burst {
		if err := atOnce(unix.SYS_RECVFROM, in, data); err == nil {
			continue
		}
		if _, err := again(func() (int, error) { return unix.Read(in, data) }); err != nil {
			return fmt.Errorf("receive a datagram: %w", err)
		}
	}
	return nil
}

// atOnce sends or receives without waiting. The scheduler of Go is not told of the system call, because
// that takes longer than the call.
func atOnce(call uintptr, fd int, data []byte) error {
	_, _, err := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), unix.MSG_DONTWAIT, 0, 0)
	if err != 0 {
		return err
	}
	return nil
}
