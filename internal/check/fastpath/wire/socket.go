// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

const (
	// packetIgnoreOutgoing is PACKET_IGNORE_OUTGOING of linux/if_packet.h: a socket does not
	// receive what is sent on its device.
	packetIgnoreOutgoing = 23
	// receiveBuffer is bytes; frames wait there until they are read.
	receiveBuffer = 64 << 20
)

// socket is a packet socket at the end of a veth pair.
type socket struct {
	fd       int
	buf, oob []byte
	out      []byte
}

// Open returns the end that is the device in the namespace.
func Open(ns *netns.NS, device string) (End, error) {
	s := &socket{fd: -1, buf: make([]byte, maxFrame), oob: make([]byte, 256), out: make([]byte, maxFrame)}
	err := ns.Do(func() error { return s.open(device) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a packet socket at %s: %w", device, err), s.Close())
	}
	return s, nil
}

func (s *socket) open(device string) (err error) {
	if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	for _, o := range []struct{ level, option, value int }{
		{unix.SOL_PACKET, packetIgnoreOutgoing, 1},
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, receiveBuffer},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
	} {
		if err := unix.SetsockoptInt(s.fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("option %d: %w", o.option, err)
		}
	}
	index, err := indexOf(s.fd, device)
	if err != nil {
		return err
	}
	all := uint16(unix.ETH_P_ALL)
	return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index})
}

func indexOf(fd int, device string) (int, error) {
	req, err := unix.NewIfreq(device)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

// Send implements [End].
func (s *socket) Send(f Frame) error { return write(s.fd, s.out, f) }

func write(fd int, out []byte, f Frame) error {
	f.Offload.put(out)
	n := offloadLen + copy(out[offloadLen:], f.Bytes)
	for {
		_, err := unix.Write(fd, out[:n])
		switch {
		case err == nil, errors.Is(err, unix.ENOBUFS): // the device has dropped it, such as what is too long
			return nil
		case errors.Is(err, unix.EAGAIN):
			if err := wait(fd, unix.POLLOUT, time.Minute); err != nil {
				return err
			}
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("sending a frame of %d bytes (%+v): %w", len(f.Bytes), f.Offload, err)
		}
	}
}

// Read implements [End].
func (s *socket) Read(timeout time.Duration) (Frame, error) {
	for {
		n, oobn, _, _, err := unix.Recvmsg(s.fd, s.buf, s.oob, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if err := wait(s.fd, unix.POLLIN, timeout); err != nil {
				return Frame{}, err
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return Frame{}, fmt.Errorf("reading a frame: %w", err)
		case n < offloadLen:
			return Frame{}, fmt.Errorf("reading a frame: only %d bytes", n)
		}
		f := Frame{Offload: readOffload(s.buf)}
		f.Bytes = append(f.Bytes, s.buf[offloadLen:n]...)
		return f, f.readMessages(s.oob[:oobn])
	}
}

func (f *Frame) readMessages(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20:
			const valid = 1 << 4 // TP_STATUS_VLAN_VALID
			if binary.NativeEndian.Uint32(m.Data)&valid != 0 {
				f.VLAN = binary.NativeEndian.Uint16(m.Data[16:]) | HasVLAN
			}
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16:
			f.At = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return nil
}

// Lost implements [End].
func (s *socket) Lost() (int, error) {
	var stats unix.TpacketStats
	size := uint32(unsafe.Sizeof(stats))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_PACKET, unix.PACKET_STATISTICS,
		uintptr(unsafe.Pointer(&stats)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(stats.Drops), nil
}

// Close implements [End].
func (s *socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	return unix.Close(s.fd)
}

// wait waits until the file is ready.
func wait(fd int, events int16, timeout time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds, int(max(0, timeout).Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return ErrTimeout
	}
	return nil
}
