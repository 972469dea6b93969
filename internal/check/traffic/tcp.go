// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Requests sends one byte over a TCP connection from one namespace to an IPv4 address of another, and
// waits for one byte, again and again, like netperf's TCP_RR. It returns the time of each. The
// connection is given to ready, before the first is sent, if that is not nil. Both ends run on one CPU.
func Requests(from, to *netns.NS, at netip.AddrPort, n int, ready func(*Conn) error) ([]time.Duration, error) {
	var times []time.Duration
	err := connected(from, to, at, echo, func(c *Conn) (err error) {
		if ready != nil {
			if err := ready(c); err != nil {
				return err
			}
		}
		times, err = c.Ask(n)
		return err
	})
	return times, err
}

// Stream sends over a TCP connection for as long as that, and returns how many bytes arrived, and
// within what time. Like Requests, it first has ready called, and both ends run on one CPU.
func Stream(from, to *netns.NS, at netip.AddrPort, length time.Duration, ready func(*Conn) error) (uint64, time.Duration, error) {
	var bytes uint64
	var took time.Duration
	swallow := func(fd int) error {
		if err := echoSome(fd); err != nil {
			return err
		}
		n, err := readAll(fd)
		bytes = n
		return err
	}
	err := connected(from, to, at, swallow, func(c *Conn) error {
		if ready != nil {
			if err := ready(c); err != nil {
				return err
			}
		}
		// A byte with this value ends the echoes.
		if err := c.write([]byte{endOfEchoes}); err != nil {
			return err
		}
		begin := time.Now()
		data := make([]byte, 128<<10)
		for time.Since(begin) < length {
			if err := c.write(data); err != nil {
				return err
			}
		}
		if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil {
			return err
		}
		_, err := readAll(c.fd) // until the other end has read everything
		took = time.Since(begin)
		return err
	})
	return bytes, took, err
}

// endOfEchoes is the byte after which a stream begins.
const endOfEchoes = 1

// Conn is the end of a TCP connection that asks.
type Conn struct{ fd int }

// Ask sends a byte and waits for one, n times, and returns the times.
func (c *Conn) Ask(n int) ([]time.Duration, error) {
	times := make([]time.Duration, 0, n)
	one := make([]byte, 1)
	for range n {
		begin := time.Now()
		one[0] = 0
		if err := c.write(one); err != nil {
			return nil, err
		}
		got, err := again(func() (int, error) { return unix.Read(c.fd, one) })
		if err != nil {
			return nil, err
		}
		if got == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

func (c *Conn) write(data []byte) error {
	for len(data) > 0 {
		n, err := again(func() (int, error) { return unix.Write(c.fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// connected serves one connection in a namespace, and uses it in another.
func connected(from, to *netns.NS, at netip.AddrPort, serve func(fd int) error, use func(*Conn) error) error {
	addr := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	server, err := tcpSocket(to)
	if err != nil {
		return err
	}
	defer closeFD(server)
	if err := errors.Join(unix.Bind(server, addr), unix.Listen(server, 1)); err != nil {
		return fmt.Errorf("listen at %v: %w", at, err)
	}
	served := make(chan error, 1)
	go func() { served <- pinned(func() error { return accept(server, serve) }) }()
	fd, err := tcpSocket(from)
	if err == nil {
		err = connect(fd, addr)
		if err == nil {
			err = pinned(func() error { return use(&Conn{fd}) })
		}
		closeFD(fd)
	}
	if err != nil {
		// If nobody connected, this lets accept return.
		return errors.Join(err, unix.Shutdown(server, unix.SHUT_RDWR), <-served)
	}
	return <-served
}

func connect(fd int, to unix.Sockaddr) error {
	_, err := again(func() (int, error) { return 0, unix.Connect(fd, to) })
	if errors.Is(err, unix.EISCONN) { // it was interrupted, but not ended
		return nil
	}
	return err
}

func tcpSocket(ns *netns.NS) (int, error) {
	fd, err := socket(ns, unix.SOCK_STREAM)
	if err != nil {
		return fd, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		closeFD(fd)
		return -1, err
	}
	return fd, nil
}

// socket returns a socket in the namespace that does not wait for ever. The caller closes it.
func socket(ns *netns.NS, kind int) (fd int, err error) {
	err = ns.Do(func() error {
		if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		limit := &unix.Timeval{Sec: 5}
		err := errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, limit),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, limit),
		)
		if err != nil {
			closeFD(fd)
		}
		return err
	})
	return fd, err
}

// closeFD closes a socket. There is nothing that could be done about an error.
func closeFD(fd int) { _ = unix.Close(fd) }

// accept serves one connection until its end.
func accept(listening int, serve func(fd int) error) error {
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
	return serve(fd)
}

// echo answers each byte until the other end closes.
func echo(fd int) error { return echoUntil(fd, func(byte) bool { return false }) }

// echoSome answers each byte until the end of echoes.
func echoSome(fd int) error { return echoUntil(fd, func(b byte) bool { return b == endOfEchoes }) }

func echoUntil(fd int, end func(byte) bool) error {
	one := make([]byte, 1)
	for {
		n, err := again(func() (int, error) { return unix.Read(fd, one) })
		if err != nil || n == 0 || end(one[0]) {
			return err
		}
		if _, err := again(func() (int, error) { return unix.Write(fd, one) }); err != nil {
			return err
		}
	}
}

// readAll throws away what comes until the other end closes, and returns how much it was.
func readAll(fd int) (total uint64, err error) {
	buf := make([]byte, 256<<10)
	for {
		n, err := again(func() (int, error) { return unix.Read(fd, buf) })
		if err != nil || n == 0 {
			return total, err
		}
		total += uint64(n)
	}
}

// again makes a system call until no signal interrupts it. Go sends some.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
