// SPDX-License-Identifier: Apache-2.0

package traffic_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/check/traffic"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var here, there = netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24")

// pair returns two namespaces that are joined by a veth pair, and the frame of a ping from one to the
// other.
func pair(t *testing.T) (a, b *netns.NS, ping []byte) {
	t.Helper()
	privilegetest.NetNS(t)
	var all [2]*netns.NS
	for i := range all {
		name := fmt.Sprintf("dwtr%d-%d", os.Getpid(), i)
		ns, err := netns.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(ns.Close(), netns.Delete(name)); err != nil {
				t.Error(err)
			}
		})
		all[i] = ns
	}
	veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(all[1].FD())}
	veth.Name = "eth0"
	h := handle(t, all[0])
	if err := h.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	return all[0], all[1], echoRequest(up(t, h, here), up(t, handle(t, all[1]), there))
}

func handle(t *testing.T, ns *netns.NS) *netlink.Handle {
	t.Helper()
	h, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func up(t *testing.T, h *netlink.Handle, addr netip.Prefix) netlink.Link {
	t.Helper()
	link, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.AddrAdd(link, a), h.LinkSetUp(link)); err != nil {
		t.Fatal(err)
	}
	return link
}

func echoRequest(from, to netlink.Link) []byte {
	f := append(append([]byte{}, to.Attrs().HardwareAddr...), from.Attrs().HardwareAddr...)
	f = binary.BigEndian.AppendUint16(f, 0x0800)
	ip := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0}
	ip = append(append(ip, here.Addr().AsSlice()...), there.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], traffic.Checksum(0, ip))
	icmp := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1}
	binary.BigEndian.PutUint16(icmp[2:], traffic.Checksum(0, icmp))
	return append(append(f, ip...), icmp...)
}

func TestPingsAndFlood(t *testing.T) {
	a, _, ping := pair(t)
	w, err := traffic.Open(a, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	times, err := w.Pings([][]byte{ping, ping, ping}, 0)
	if err != nil || len(times) != 3 {
		t.Errorf("%v, %v", times, err)
	}
	times, err = w.Flood([][]byte{ping}, 2*traffic.Batch+1)
	if err != nil || len(times) != 2 {
		t.Errorf("%v, %v", times, err)
	}
	// Another's answer is none: the identifier tells.
	other := append([]byte{}, ping...)
	other[traffic.EthLen+traffic.IPLen+4]++ // and so the checksum is wrong
	if _, err := w.Pings([][]byte{other}, 0); err == nil {
		t.Error("a ping that nobody answers has an answer")
	}
}

func TestTCP(t *testing.T) {
	a, b, _ := pair(t)
	at := netip.AddrPortFrom(there.Addr(), 5001)
	asked := 0
	times, err := traffic.Requests(a, b, at, 10, func(c *traffic.Conn) error {
		before, err := c.Ask(3)
		asked = len(before)
		return err
	})
	if err != nil || len(times) != 10 || asked != 3 {
		t.Errorf("%d times, %d asked before, %v", len(times), asked, err)
	}
	bytes, took, err := traffic.Stream(a, b, at, 50*time.Millisecond, func(c *traffic.Conn) error {
		_, err := c.Ask(2)
		return err
	})
	if err != nil || bytes == 0 || took < 50*time.Millisecond {
		t.Errorf("%d bytes in %v, %v", bytes, took, err)
	}
	failed := errors.New("not ready")
	if _, err := traffic.Requests(a, b, at, 1, func(*traffic.Conn) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := traffic.Requests(a, b, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.3"), 1), 1, nil); err == nil {
		t.Error("nobody listens there")
	}
}

func TestUDP(t *testing.T) {
	a, b, _ := pair(t)
	at := netip.AddrPortFrom(there.Addr(), 5001)
	asked := 0
	times, err := traffic.Datagrams(a, b, at, 10, func(c *traffic.Conn) error {
		before, err := c.Ask(3)
		asked = len(before)
		return err
	})
	if err != nil || len(times) != 10 || asked != 3 {
		t.Errorf("%d times, %d asked before, %v", len(times), asked, err)
	}
	failed := errors.New("not ready")
	if _, err := traffic.Datagrams(a, b, at, 1, func(*traffic.Conn) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestQuartiles(t *testing.T) {
	t.Parallel()
	if q := traffic.Quartiles([]int{5, 1, 4, 2, 3}); q != [3]int{2, 3, 4} {
		t.Errorf("%v", q)
	}
	if q := traffic.Quartiles([]float64(nil)); q != [3]float64{} {
		t.Errorf("%v", q)
	}
}

// All datagrams of a burst arrive before the next is sent.
func TestBursts(t *testing.T) {
	a, b, _ := pair(t)
	at := netip.AddrPortFrom(there.Addr(), 5201)
	// What is sent before the devices are ready is lost; TCP sends it again.
	if _, err := traffic.Requests(a, b, at, 1, nil); err != nil {
		t.Fatal(err)
	}
	n, took, err := traffic.Bursts(a, b, at, 64, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 || took < time.Millisecond {
		t.Errorf("%d datagrams in %v", n, took)
	}
	if _, _, err := traffic.Bursts(a, b, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.3"), 1), 64, time.Millisecond); err == nil {
		t.Error("datagrams to nobody: want an error")
	}
}
