// SPDX-License-Identifier: Apache-2.0

package traps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asksForErrors makes a socket send packets that nobody may cut, however small it knows that they have to be, and keep what
// it is told of them.
func asksForErrors(t *testing.T, c *net.UDPConn, v6 bool) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	level, discover, errorsOf := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_RECVERR
	if v6 {
		level, discover, errorsOf = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_RECVERR
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = errors.Join(unix.SetsockoptInt(int(fd), level, discover, unix.IP_PMTUDISC_PROBE),
			unix.SetsockoptInt(int(fd), level, errorsOf, 1))
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
}

// toldLength waits until the socket is told how long packets may be, in bytes.
func toldLength(t *testing.T, c *net.UDPConn) uint32 {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	buf, oob, n := make([]byte, 2048), make([]byte, 512), 0
	err = raw.Read(func(fd uintptr) bool {
		_, n, _, _, failed = unix.Recvmsg(int(fd), buf, oob, unix.MSG_ERRQUEUE)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatalf("no error came: %v", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		isError := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !isError || len(m.Data) < 16 {
			continue
		}
		// struct sock_extended_err of linux/errqueue.h.
		if number := unix.Errno(binary.NativeEndian.Uint32(m.Data)); number != unix.EMSGSIZE {
			t.Fatalf("the error is %v", number)
		}
		return binary.NativeEndian.Uint32(m.Data[8:])
	}
	t.Fatalf("no error in %v", messages)
	return 0
}

// TestTooLongIsAnswered has a flow whose packets are fast send some that are too long for where they go. Each has to be
// answered by the hypervisor, in both directions, and the others go on being fast.
func TestTooLongIsAnswered(t *testing.T) {
	const times, length = 5, 1400
	eachFamily(t, func(w *way, f *family) {
		guest, out := w.sockets(f.near)
		asksForErrors(t, guest, f.v6)
		asksForErrors(t, out, f.v6)
		for _, narrow := range []string{"ens3", "br-red"} {
			w.run(w.hv, fmt.Sprintf("ip link set %s mtu %d", narrow, small))
			for range times {
				w.talk(guest, out)
				to, from := w.whence(guest, out), guest
				var err error
				if narrow == "ens3" {
					_, err = guest.Write(make([]byte, length))
				} else {
					from = out
					_, err = out.WriteToUDPAddrPort(make([]byte, length), to)
				}
				if err != nil {
					w.Fatal(err)
				}
				if got := toldLength(t, from); got != small {
					w.Errorf("by %s packets may have %d bytes, it says, and %d fit", narrow, got, small)
				}
			}
			w.run(w.hv, fmt.Sprintf("ip link set %s mtu 1500", narrow))
		}
		w.talk(guest, out)
		w.nothingDiffers()
	})
}
