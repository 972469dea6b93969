// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Lengths of headers, in bytes.
const (
	EthLen = 14
	IPLen  = 20
)

const (
	// answerWithin is how long to wait for an answer.
	answerWithin = 5 * time.Second
	// roomForFrames is how many bytes of frames that nobody has read yet the kernel keeps, so that none is lost if
	// many come while the reader has no CPU.
	roomForFrames = 16 << 20
)

// Wire is a packet socket on a device. The device's queue is passed over.
type Wire struct{ fd int }

// Open returns a packet socket that sees what arrives of IPv4. The caller closes it.
func Open(ns *netns.NS, device string) (*Wire, error) {
	w := &Wire{fd: -1}
	err := ns.Do(func() error {
		protocol := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff}))
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		w.fd = fd
		h, err := ns.Netlink()
		if err != nil {
			return err
		}
		defer h.Close()
		link, err := h.LinkByName(device)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(protocol), Ifindex: link.Attrs().Index}); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, roomForFrames); err != nil {
			return err
		}
		limit := unix.NsecToTimeval(answerWithin.Nanoseconds())
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	})
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("packet socket on %s of %s: %w", device, ns.Name(), err)
	}
	return w, nil
}

// Close closes the socket.
func (w *Wire) Close() {
	if w.fd >= 0 {
		closeFD(w.fd)
	}
}

// Send sends a frame. It never blocks, and so the scheduler of Go is not told of the system call,
// because that takes longer than the call.
func (w *Wire) Send(frame []byte) error {
	_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(w.fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)), unix.MSG_DONTWAIT, 0, 0)
	if err != 0 {
		return fmt.Errorf("send a frame: %w", err)
	}
	return nil
}

// drain throws away what came and nobody has read.
func (w *Wire) drain() {
	buf := make([]byte, 2048)
	for {
		if _, _, err := unix.Recvfrom(w.fd, buf, unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// Pings sends each of the frames, which are echo requests, and waits for the answer before the
// next, and for so long besides. It returns the times that the pings took. One that is not answered
// within 5 seconds is an error, whatever else comes meanwhile.
func (w *Wire) Pings(frames [][]byte, pause time.Duration) (times []time.Duration, err error) {
	err = pinned(func() error {
		times, err = w.pings(frames, pause)
		return err
	})
	return times, err
}

func (w *Wire) pings(frames [][]byte, pause time.Duration) ([]time.Duration, error) {
	w.drain()
	times := make([]time.Duration, 0, len(frames))
	buf := make([]byte, 2048)
	for _, frame := range frames {
		begin := time.Now()
		if err := w.Send(frame); err != nil {
			return nil, err
		}
		for {
			n, err := w.receive(buf)
			if err == nil && answers(buf[:n], frame) {
				break
			}
			if err == nil && time.Since(begin) > answerWithin {
				err = unix.ETIMEDOUT
			}
			if err != nil {
				return nil, fmt.Errorf("no answer to the ping from %v to %v: %w", addrAt(frame, 12), addrAt(frame, 16), err)
			}
		}
		times = append(times, time.Since(begin))
		if pause > 0 {
			rest := unix.NsecToTimespec(pause.Nanoseconds())
			// A signal makes it shorter, which is no harm.
			_ = unix.Nanosleep(&rest, nil)
		}
	}
	return times, nil
}

// receive waits for a frame. Most often it is there, and then the scheduler of Go is not told of the
// system call, because that takes longer than the call.
func (w *Wire) receive(buf []byte) (int, error) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(w.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
	if err == 0 {
		return int(n), nil
	}
	return again(func() (int, error) { return unix.Read(w.fd, buf) })
}

func addrAt(frame []byte, offset int) netip.Addr {
	return netip.AddrFrom4([4]byte(frame[EthLen+offset:]))
}

// answers reports whether a frame is the echo reply to another.
func answers(got, sent []byte) bool {
	const id = EthLen + IPLen + 4
	return len(got) >= id+4 && got[EthLen+9] == unix.IPPROTO_ICMP && got[EthLen+IPLen] == 0 &&
		addrAt(got, 12) == addrAt(sent, 16) && addrAt(got, 16) == addrAt(sent, 12) && [4]byte(got[id:]) == [4]byte(sent[id:])
}

// Batch is how many packets of a flood are timed together: few enough that a batch that was
// interrupted stands out from the others.
const Batch = 64

// Flood sends packets as fast as it can, frame after frame, and returns the time of one packet, for
// each batch. What does not fill a batch is not sent.
func (w *Wire) Flood(frames [][]byte, packets int) ([]time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := make([]time.Duration, 0, packets/Batch)
	at := 0
	for range packets / Batch {
		begin := time.Now()
		for range Batch {
			if err := w.Send(frames[at]); err != nil {
				return nil, err
			}
			if at++; at == len(frames) {
				at = 0
			}
		}
		times = append(times, time.Since(begin)/Batch)
	}
	return times, nil
}

// Checksum is the internet checksum (RFC 1071) of bytes of which there is an even number, and of
// what was summed up before.
func Checksum(sum uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
