// SPDX-License-Identifier: Apache-2.0

package pinger_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// patience is how long replies that must come are waited for, on a machine that is busy.
const patience = 30 * time.Second

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen opens a raw ICMP socket in ns that sees every echo request.
func listen(t *testing.T, ns *netns.NS) *icmp.PacketConn {
	t.Helper()
	var c *icmp.PacketConn
	err := ns.Do(func() (err error) {
		c, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ignoreEchoes has the kernel leave the answering to the test.
func ignoreEchoes(t *testing.T, ns *netns.NS) {
	t.Helper()
	err := ns.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/icmp_echo_ignore_all", []byte("1"), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryEchoIsAnswered(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-all")
	for _, target := range []netip.Addr{loopback4, loopback6} {
		for _, size := range []int{pinger.NoPayload, 8, 0, 1400, 20000} {
			called, start := 0, time.Now()
			rep, err := pinger.Run(t.Context(), pinger.Config{
				NetNS: ns, Target: target, Count: 5, Interval: time.Millisecond, Size: size, Timeout: patience,
				OnReply: func(pinger.Echo) { called++ },
			})
			if err != nil {
				t.Fatal(err)
			}
			if rep.Received() != 5 || rep.Lost() != 0 || rep.Duplicates() != 0 || called != 5 {
				t.Errorf("%s, size %d: received %d, lost %d, duplicates %d, called %d times",
					target, size, rep.Received(), rep.Lost(), rep.Duplicates(), called)
			}
			for i, e := range rep.Echoes {
				if int(e.Seq) != i+1 || e.RTT() <= 0 || e.RTT() > time.Since(start) {
					t.Errorf("%s, size %d: echo %d: %+v", target, size, i, e)
				}
			}
		}
	}
}

// What goes over the wire is what iputils ping sends.
func TestPayloadOnTheWire(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-wire")
	sniffer := listen(t, ns)
	before := time.Now().Truncate(time.Microsecond)
	rep, err := pinger.Run(t.Context(), pinger.Config{NetNS: ns, Target: loopback4, Count: 1, ID: 4711, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, _, err := sniffer.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	m, err := icmp.ParseMessage(1, buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	echo, ok := m.Body.(*icmp.Echo)
	if !ok || m.Type != ipv4.ICMPTypeEcho || echo.ID != 4711 || echo.Seq != 1 || len(echo.Data) != 56 || rep.ID != 4711 {
		t.Fatalf("request %+v %+v, report's ID %d", m, m.Body, rep.ID)
	}
	sec, usec := binary.NativeEndian.Uint64(echo.Data), binary.NativeEndian.Uint64(echo.Data[8:])
	sent := time.Unix(int64(sec), int64(usec)*1000)
	if sent.Before(before) || sent.After(time.Now()) {
		t.Errorf("the payload's clock says %s, sent after %s", sent, before)
	}
	for i, b := range echo.Data[16:] {
		if b != byte(0x10+i) {
			t.Fatalf("byte %d of the payload is %#x", 16+i, b)
		}
	}
}

func TestFlood(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-flood")
	const count = 70000 // the sequence number comes round
	start := time.Now()
	rep, err := pinger.Run(t.Context(), pinger.Config{NetNS: ns, Target: loopback4, Count: count, Flood: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Received() != count || len(rep.RTTs()) != count {
		t.Errorf("received %d, lost %d of %d", rep.Received(), rep.Lost(), count)
	}
	if e := rep.Echoes[65535]; e.Seq != 0 {
		t.Errorf("echo 65536 has the sequence number %d, want 0", e.Seq)
	}
	if took := time.Since(start); took > count*pinger.DefaultFloodInterval/4 {
		t.Errorf("%d echoes took %s: the replies do not set the pace", count, took)
	}
}

func TestFloodAfter(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-after")
	const interval, before = 100 * time.Millisecond, 3
	rep, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: ns, Target: loopback4, Count: 100, Interval: interval, Flood: true, FloodAfter: before, Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	shortest := time.Hour
	for i := 1; i < len(rep.Echoes); i++ {
		gap := rep.Echoes[i].Sent.Sub(rep.Echoes[i-1].Sent)
		if i < before && gap < interval*9/10 {
			t.Errorf("request %d was sent after %v, before the flood", i+1, gap)
		}
		if i >= before {
			shortest = min(shortest, gap)
		}
	}
	if shortest > interval/2 || rep.Received() != 100 {
		t.Errorf("%d received; in the flood, the shortest time between requests is %v", rep.Received(), shortest)
	}
}

func TestLost(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-lost")
	ignoreEchoes(t, ns)
	start := time.Now()
	rep, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: ns, Target: loopback4, Count: 3, Flood: true, Interval: 5 * time.Millisecond, Timeout: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Lost() != 3 || rep.Received() != 0 || rep.Echoes[0].RTT() != 0 {
		t.Errorf("lost %d, received %d of 3", rep.Lost(), rep.Received())
	}
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("took %s, want two intervals and the timeout", took)
	}
}

func TestDuplicatesAndForeignReplies(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-dup")
	ignoreEchoes(t, ns)
	responder := listen(t, ns)
	go func() {
		// What is sent on one CPU comes in order; on two, the reply to the last echo may
		// pass duplicates. The thread ends with the goroutine.
		runtime.LockOSThread()
		if err := onOneCPU(); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 2000)
		for {
			n, from, err := responder.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := icmp.ParseMessage(1, buf[:n])
			if err != nil || m.Type != ipv4.ICMPTypeEcho {
				continue
			}
			m.Type = ipv4.ICMPTypeEchoReply
			foreign := *m.Body.(*icmp.Echo)
			foreign.Data = make([]byte, len(foreign.Data)) // another's clock
			for _, body := range []icmp.MessageBody{&foreign, m.Body, m.Body, m.Body} {
				b, err := (&icmp.Message{Type: m.Type, Body: body}).Marshal(nil)
				if err != nil {
					return
				}
				if _, err := responder.WriteTo(b, from); err != nil {
					return
				}
			}
		}
	}()
	rep, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: ns, Target: loopback4, Count: 4, Interval: 20 * time.Millisecond, Timeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Received() != 4 {
		t.Errorf("received %d of 4", rep.Received())
	}
	for _, e := range rep.Echoes[:3] { // the run ends with the first reply to the last
		if e.Duplicates != 2 {
			t.Errorf("echo %d has %d duplicates, want 2", e.Seq, e.Duplicates)
		}
	}
}

// onOneCPU keeps the calling thread on one of the CPUs that it may use.
func onOneCPU() error {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	return unix.SchedSetaffinity(0, &one)
}

func TestUnreachableIsToldOfTheEcho(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-unreach")
	rep, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: ns, Target: netip.MustParseAddr("192.0.2.1"), Count: 2, Interval: time.Millisecond, Timeout: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Lost() != 2 || !errors.Is(rep.Echoes[0].Err, unix.ENETUNREACH) {
		t.Errorf("lost %d, error %v, want ENETUNREACH", rep.Lost(), rep.Echoes[0].Err)
	}
}

func TestCancel(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-cancel")
	ctx, cancel := context.WithCancel(t.Context())
	rep, err := pinger.Run(ctx, pinger.Config{
		NetNS: ns, Target: loopback4, Interval: time.Millisecond,
		OnReply: func(e pinger.Echo) {
			if e.Seq == 3 {
				cancel()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Received() < 3 {
		t.Errorf("received %d, want the 3 before the end", rep.Received())
	}
}

func TestSideBySide(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 2 {
		ns := netnstest.WithLoopback(t, fmt.Sprint("ping-side", i))
		for j := range 4 {
			target := loopback4
			if j%2 == 1 {
				target = loopback6
			}
			// Two in each namespace share an identifier.
			cfg := pinger.Config{NetNS: ns, Target: target, Count: 500, Flood: true, ID: uint16(100 + j/2), Timeout: patience}
			wg.Go(func() {
				rep, err := pinger.Run(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				if rep.Received() != 500 || rep.Duplicates() != 0 {
					t.Errorf("%s: received %d, duplicates %d of 500", target, rep.Received(), rep.Duplicates())
				}
			})
		}
	}
	wg.Wait()
}

func TestPingsFromInside(t *testing.T) {
	// A namespace whose lo is down reaches nothing: the pinger is really inside.
	ns := netnstest.WithLoopback(t, "ping-down")
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if err := nl.LinkSetDown(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
		t.Fatal(err)
	}
	rep, err := pinger.Run(t.Context(), pinger.Config{NetNS: ns, Target: loopback6, Count: 1, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Received() != 0 {
		t.Error("got a reply where lo is down")
	}
}
