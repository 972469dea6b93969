// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// packetIgnoreOutgoing is PACKET_IGNORE_OUTGOING of linux/if_packet.h: a socket does not
	// receive what is sent on its device.
	packetIgnoreOutgoing = 23
	// receiveBuffer is bytes; the frames of one case wait there.
	receiveBuffer = 64 << 20
	// settleTimeout is how long the kernel may take to get through what was sent.
	settleTimeout = 20 * time.Second
)

// end is the far end of a wire: what is sent there arrives at the hypervisor.
type end struct {
	fd    int
	buf   []byte
	mac   net.HardwareAddr
	probe []byte // an ARP request to the hypervisor, whose answer says that all before is done
}

func (n *Network) openEnds() error {
	wire, err := n.wire.Netlink()
	if err != nil {
		return err
	}
	defer wire.Close()
	for i := range ports {
		link, err := wire.LinkByName(ports[i].wire)
		if err != nil {
			return err
		}
		e := &end{fd: -1, buf: make([]byte, 1<<16), mac: mac(ports[i].far)}
		e.probe = arpRequest(e.mac, probeAddrs[i][0], probeAddrs[i][1])
		n.ends[i] = e
		if err := n.wire.Do(func() error { return e.open(link.Attrs().Index) }); err != nil {
			return err
		}
		if err := e.ready(arpRequest(e.mac, readyAddrs[i], probeAddrs[i][1])); err != nil {
			return fmt.Errorf("%s: %w", ports[i].name, err)
		}
	}
	return nil
}

// readyAddrs are who asks until there is an answer, which then may come more than once.
var readyAddrs = [ends]string{"192.168.0.240", "192.168.0.241", "192.0.2.240"}

// ready waits until the hypervisor answers: a device takes no frames before the kernel has noticed
// that both ends of its wire are up.
func (e *end) ready(probe []byte) error {
	const often = 50 * time.Millisecond
	for deadline := time.Now().Add(settleTimeout); time.Now().Before(deadline); {
		if err := e.timeout(often); err != nil {
			return err
		}
		if err := e.send(probe); err != nil {
			return err
		}
		for {
			size, err := unix.Read(e.fd, e.buf)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			if err == nil && answers(e.buf[:size], probe) {
				return e.timeout(settleTimeout)
			}
		}
	}
	return errors.New("the hypervisor does not answer ARP")
}

// timeout bounds each read.
func (e *end) timeout(d time.Duration) error {
	t := unix.NsecToTimeval(d.Nanoseconds())
	return unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t)
}

// probeAddrs are who asks, and for whom.
var probeAddrs = [ends][2]string{
	Guest0:  {"192.168.0.250", bridge4},
	Guest1:  {"192.168.0.251", bridge4},
	Outside: {"192.0.2.250", uplink4},
}

func (e *end) open(index int) (err error) {
	if e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(e.fd, unix.SOL_PACKET, packetIgnoreOutgoing, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return err
	}
	all := uint16(unix.ETH_P_ALL)
	return unix.Bind(e.fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index})
}

func (e *end) close() error {
	if e.fd < 0 {
		return nil
	}
	return unix.Close(e.fd)
}

func (e *end) send(frame []byte) error {
	for {
		_, err := unix.Write(e.fd, frame)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS):
			continue
		}
		return fmt.Errorf("sending a frame of %d bytes: %w", len(frame), err)
	}
}

// settle returns the frames that have come out since it was last called. What was sent at
// this end before has been dealt with when the hypervisor answers the probe, because one CPU
// takes the frames of a device in order; so the caller must stay on one CPU.
func (e *end) settle() ([][]byte, error) {
	if err := e.send(e.probe); err != nil {
		return nil, err
	}
	var frames [][]byte
	for {
		size, err := unix.Read(e.fd, e.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("waiting for the hypervisor to answer ARP: %w", err)
		}
		frame := e.buf[:size]
		if answers(frame, e.probe) {
			return frames, nil
		}
		if !noise(frame) {
			frames = append(frames, bytes.Clone(frame))
		}
	}
}

// answers reports whether the frame is the answer to an ARP request.
func answers(frame, request []byte) bool {
	return len(frame) >= 42 && etherType(frame) == unix.ETH_P_ARP && frame[21] == 2 &&
		bytes.Equal(frame[28:32], request[38:42]) && bytes.Equal(frame[38:42], request[28:32])
}

// noise reports whether a frame is what the kernel says of its own accord, of neighbours,
// routers and multicast groups, or only so often in a second: that there is no route, or a
// shorter one (ip_error and ip_rt_send_redirect in net/ipv4/route.c); or what time it is, and that
// it waited for fragments in vain, which may come half a minute later.
func noise(frame []byte) bool {
	switch etherType(frame) {
	case unix.ETH_P_IP:
		if len(frame) < 36 {
			return false
		}
		limited := frame[23] == 1 && (frame[34] == 3 && frame[35] <= 1 || frame[34] == 5) && frame[15]&0xc0 == 0xc0
		clock := frame[23] == 1 && (frame[34] == 14 || frame[34] == 11 && frame[35] == 1)
		return frame[23] == 2 || limited || clock
	case unix.ETH_P_IPV6:
		at := 54
		if len(frame) > 62 && frame[20] == 0 { // MLD has a hop-by-hop header
			at = 62
		}
		if len(frame) <= at || frame[20] != 0 && frame[20] != 58 {
			return false
		}
		typ := frame[at]
		if typ == 3 && len(frame) > at+1 && frame[at+1] == 1 {
			return true // time exceeded, of fragments
		}
		return typ >= 130 && typ <= 137 || typ == 143
	}
	return true
}

func etherType(frame []byte) uint16 {
	if len(frame) < 14 {
		return 0
	}
	return binary.BigEndian.Uint16(frame[12:])
}

func arpRequest(from net.HardwareAddr, src, dst string) []byte {
	b := make([]byte, 0, 42)
	b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	b = append(b, from...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(b, from...)
	b = append(b, netip.MustParseAddr(src).AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, netip.MustParseAddr(dst).AsSlice()...)
}
