// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Datagrams is Requests over UDP. A datagram that is not answered within 5 seconds is an error.
func Datagrams(from, to *netns.NS, at netip.AddrPort, n int, ready func(*Conn) error) ([]time.Duration, error) {
	addr := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	server, err := socket(to, unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	defer closeFD(server)
	if err := unix.Bind(server, addr); err != nil {
		return nil, fmt.Errorf("receive at %v: %w", at, err)
	}
	client, err := socket(from, unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	defer closeFD(client)
	if err := unix.Connect(client, addr); err != nil {
		return nil, err
	}
	served := make(chan error, 1)
	go func() { served <- pinned(func() error { return echoDatagrams(server) }) }()
	var times []time.Duration
	err = pinned(func() (err error) {
		c := &Conn{client}
		if ready != nil {
			if err := ready(c); err != nil {
				return err
			}
		}
		times, err = c.Ask(n)
		return err
	})
	// If this is lost, the server notices that nothing comes any more.
	end := (&Conn{client}).write([]byte{endOfEchoes})
	return times, errors.Join(err, end, <-served)
}

func echoDatagrams(fd int) error {
	one := make([]byte, 1)
	for {
		var from unix.Sockaddr
		_, err := again(func() (n int, err error) { n, from, err = unix.Recvfrom(fd, one, 0); return n, err })
		if err != nil || one[0] == endOfEchoes {
			return err
		}
		if _, err := again(func() (int, error) { return 0, unix.Sendto(fd, one, 0, from) }); err != nil {
			return err
		}
	}
}
