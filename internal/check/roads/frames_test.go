// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// host is an IPv4 host in user space, as a virtual machine is one: it answers ARP
// (RFC 826) and echoes (RFC 792).
type host struct {
	mac  net.HardwareAddr
	addr netip.Addr
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// echo makes an Ethernet frame with an echo.
func (h host) echo(typ byte, to net.HardwareAddr, dst netip.Addr, id, seq uint16, data []byte) []byte {
	m := append([]byte{typ, 0, 0, 0, byte(id >> 8), byte(id), byte(seq >> 8), byte(seq)}, data...)
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	hdr := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, unix.IPPROTO_ICMP, 0, 0}
	binary.BigEndian.PutUint16(hdr[2:], uint16(20+len(m)))
	hdr = append(append(hdr, h.addr.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(hdr[10:], checksum(hdr))
	frame := append(append(append([]byte{}, to...), h.mac...), 0x08, 0)
	return append(append(frame, hdr...), m...)
}

func (h host) request(to net.HardwareAddr, dst netip.Addr, id, seq uint16, data []byte) []byte {
	return h.echo(8, to, dst, id, seq, data)
}

// arp makes an ARP packet: op 1 asks, 2 answers.
func (h host) arp(op byte, to, target net.HardwareAddr, addr netip.Addr) []byte {
	f := append(append(append([]byte{}, to...), h.mac...), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, op)
	f = append(append(f, h.mac...), h.addr.AsSlice()...)
	return append(append(f, target...), addr.AsSlice()...)
}

// echoFrame is an ICMP echo in an Ethernet frame.
type echoFrame struct {
	typ      byte
	id, seq  uint16
	src, dst netip.Addr
	from     net.HardwareAddr
	data     []byte
}

func parseEcho(f []byte) (e echoFrame, ok bool) {
	if len(f) < 42 || f[12] != 8 || f[13] != 0 || f[14] != 0x45 || f[23] != unix.IPPROTO_ICMP {
		return e, false
	}
	src, _ := netip.AddrFromSlice(f[26:30])
	dst, _ := netip.AddrFromSlice(f[30:34])
	end := min(len(f), 14+int(binary.BigEndian.Uint16(f[16:])))
	return echoFrame{
		typ: f[34], id: binary.BigEndian.Uint16(f[38:]), seq: binary.BigEndian.Uint16(f[40:]),
		src: src, dst: dst, from: append(net.HardwareAddr{}, f[6:12]...), data: append([]byte{}, f[42:end]...),
	}, true
}

// answer returns the frame with which the host answers a frame, or nil.
func (h host) answer(f []byte) []byte {
	if e, ok := parseEcho(f); ok && e.typ == 8 && e.dst == h.addr {
		return h.echo(0, e.from, e.src, e.id, e.seq, e.data)
	}
	if len(f) < 42 || f[12] != 8 || f[13] != 6 || f[21] != 1 {
		return nil
	}
	if dst, _ := netip.AddrFromSlice(f[38:42]); dst == h.addr {
		asker, _ := netip.AddrFromSlice(f[28:32])
		return h.arp(2, f[22:28], f[22:28], asker)
	}
	return nil
}

// guest is a host behind files of frames, such as the queues of a tap.
type guest struct {
	host
	// file is the first queue, on which it sends.
	file *os.File

	mu      sync.Mutex
	waiting map[[2]uint16]chan struct{} // by identifier and sequence number
	peers   chan net.HardwareAddr
}

func newGuest(h host, f *os.File) *guest {
	return &guest{host: h, file: f, waiting: map[[2]uint16]chan struct{}{}, peers: make(chan net.HardwareAddr, 1)}
}

// serve answers what comes on a queue until its file is closed.
func (g *guest) serve(queue *os.File) {
	b := make([]byte, 65536)
	for {
		n, err := queue.Read(b)
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, unix.EBADFD) {
			return
		}
		if err != nil {
			continue // the device is down for a moment
		}
		g.take(queue, b[:n])
	}
}

func (g *guest) take(queue *os.File, f []byte) {
	if a := g.answer(f); a != nil {
		queue.Write(a)
		return
	}
	if e, ok := parseEcho(f); ok && e.typ == 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		if c := g.waiting[[2]uint16{e.id, e.seq}]; c != nil {
			close(c)
			delete(g.waiting, [2]uint16{e.id, e.seq})
		}
		return
	}
	if len(f) >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 2 {
		select {
		case g.peers <- append(net.HardwareAddr{}, f[22:28]...):
		default:
		}
	}
}

// send is a sender: the guest itself pings.
func (g *guest) send(w *world, _ *space, to netip.Addr, id uint16, n int) (int, error) {
	peer, err := g.resolve(w, to)
	if err != nil {
		return 0, err
	}
	got := 0
	for seq := 1; seq <= n; seq++ {
		c := make(chan struct{})
		g.mu.Lock()
		g.waiting[[2]uint16{id, uint16(seq)}] = c
		g.mu.Unlock()
		if _, err := g.file.Write(g.request(peer, to, id, uint16(seq), clock(56))); err != nil {
			return got, err
		}
		select {
		case <-c:
			got++
		case <-time.After(time.Second):
		}
	}
	return got, nil
}

// resolve asks for the hardware address of a neighbour until it answers.
func (g *guest) resolve(w *world, to netip.Addr) (net.HardwareAddr, error) {
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for range 50 {
		g.file.Write(g.arp(1, everybody, make(net.HardwareAddr, 6), to))
		select {
		case mac := <-g.peers:
			return mac, nil
		case <-time.After(100 * time.Millisecond):
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		}
	}
	return nil, errors.New("nobody has the address " + to.String())
}
