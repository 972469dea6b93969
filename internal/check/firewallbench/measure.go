// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pings sends each of the frames, which are echo requests, and waits for the answer before the
// next. It returns the times that this took. One that is not answered within a second is an error.
func (w *wire) pings(frames [][]byte) ([]time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.drain()
	times := make([]time.Duration, 0, len(frames))
	buf := make([]byte, 2048)
	for _, frame := range frames {
		begin := time.Now()
		if err := w.send(frame); err != nil {
			return nil, err
		}
		for {
			n, _, err := unix.Recvfrom(w.fd, buf, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("no answer to the ping from %v to %v: %w", addrAt(frame, 12), addrAt(frame, 16), err)
			}
			if answers(buf[:n], frame) {
				break
			}
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

func addrAt(frame []byte, offset int) netip.Addr {
	return netip.AddrFrom4([4]byte(frame[ethLen+offset:]))
}

// answers reports whether a frame is the echo reply to another.
func answers(got, sent []byte) bool {
	return len(got) >= ethLen+ipLen+8 && got[ethLen+9] == 1 && got[ethLen+ipLen] == 0 &&
		addrAt(got, 12) == addrAt(sent, 16) && addrAt(got, 16) == addrAt(sent, 12)
}

// batch is how many packets are timed together: few enough that a batch that was interrupted stands
// out from the others.
const batch = 64

// flood sends packets as fast as it can, frame after frame, and returns the time of one packet, for each
// batch. The kernel forwards a packet of a veth pair before it returns from sending it.
func (w *wire) flood(frames [][]byte, packets int) ([]time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := make([]time.Duration, 0, packets/batch)
	at := 0
	for range packets / batch {
		begin := time.Now()
		for range batch {
			if err := w.send(frames[at]); err != nil {
				return nil, err
			}
			if at++; at == len(frames) {
				at = 0
			}
		}
		times = append(times, time.Since(begin)/batch)
	}
	return times, nil
}

// rr sends one byte over a TCP connection and waits for one byte, again and again, like netperf's
// TCP_RR.
func (l *lab) rr(transactions int) ([]time.Duration, error) {
	server, err := tcpSocket(l.outside.Do)
	if err != nil {
		return nil, err
	}
	defer closeFD(server)
	addr := &unix.SockaddrInet4{Port: rrPort, Addr: netip.MustParseAddr(outsideAddr).As4()}
	if err := unix.Bind(server, addr); err != nil {
		return nil, err
	}
	if err := unix.Listen(server, 1); err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() { served <- serve(server) }()
	client, err := tcpSocket(l.guest.Do)
	if err != nil {
		return nil, err
	}
	times, err := ask(client, addr, transactions)
	closeFD(client)
	if err != nil {
		// If nobody connected, this lets accept return.
		return nil, errors.Join(err, unix.Shutdown(server, unix.SHUT_RDWR), <-served)
	}
	return times, <-served
}

// rrPort is that of package synth's plain packet.
const rrPort = 5001

func tcpSocket(do func(func() error) error) (fd int, err error) {
	err = do(func() error {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for _, option := range [][2]int{{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.IPPROTO_TCP, unix.TCP_NODELAY}} {
			if err := unix.SetsockoptInt(fd, option[0], option[1], 1); err != nil {
				return err
			}
		}
		limit := &unix.Timeval{Sec: 5}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, limit); err != nil {
			return err
		}
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, limit)
	})
	return fd, err
}

// closeFD closes a socket. There is nothing that could be done about an error.
func closeFD(fd int) { _ = unix.Close(fd) }

// serve answers one connection until its end.
func serve(listening int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := again(func() (int, error) {
		fd, _, err := unix.Accept4(listening, unix.SOCK_CLOEXEC)
		return fd, err
	})
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	one := make([]byte, 1)
	for {
		n, err := again(func() (int, error) { return unix.Read(fd, one) })
		if err != nil || n == 0 {
			return err
		}
		if _, err := again(func() (int, error) { return unix.Write(fd, one) }); err != nil {
			return err
		}
	}
}

func ask(fd int, to unix.Sockaddr, transactions int) ([]time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, err := again(func() (int, error) { return 0, unix.Connect(fd, to) })
	if err != nil && !errors.Is(err, unix.EISCONN) { // it was interrupted, but not ended
		return nil, err
	}
	times := make([]time.Duration, 0, transactions)
	one := make([]byte, 1)
	for range transactions {
		begin := time.Now()
		if _, err := again(func() (int, error) { return unix.Write(fd, one) }); err != nil {
			return nil, err
		}
		n, err := again(func() (int, error) { return unix.Read(fd, one) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

// again makes a system call until no signal interrupts it. Go sends some.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// received returns how many frames came to the outside.
func (l *lab) received() (uint64, error) {
	h, err := l.outside.Netlink()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	link, err := h.LinkByName("eth0")
	if err != nil {
		return 0, err
	}
	return link.Attrs().Statistics.RxPackets, nil
}

// quartiles returns the first, the second, which is the median, and the third.
func quartiles(times []time.Duration) [3]time.Duration {
	if len(times) == 0 {
		return [3]time.Duration{}
	}
	sorted := slices.Sorted(slices.Values(times))
	return [3]time.Duration{sorted[len(sorted)/4], sorted[len(sorted)/2], sorted[len(sorted)*3/4]}
}
