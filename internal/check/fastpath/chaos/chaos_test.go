// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// TestMain is the agent's process, too.
func TestMain(m *testing.M) {
	if os.Getenv(attendVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A few seconds of what the command does for an hour. What is forbidden may be seen for longer, because this machine may
// have much else to do, but not until a lease ends; and few may be fast, because it takes longer to see what a change means.
func TestChaos(t *testing.T) {
	privilegetest.BPF(t)
	for ip := range plans() {
		t.Run(fmt.Sprintf("IPv%d", ip), func(t *testing.T) {
			s := session{
				duration: 12 * time.Second, lease: 2 * time.Second, pause: 150 * time.Millisecond, prompt: time.Second,
				seed: uint64(time.Now().UnixNano()), ip: ip, name: "dwelltestchaos",
			}
			var out strings.Builder
			err := s.run(t.Context(), &out)
			t.Logf("seed %d\n%s", s.seed, out.String())
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// packetAt returns a datagram as it is seen at a device.
func packetAt(device, src, dst, srcMAC, dstMAC string, ttl uint8, size int) *seen {
	p := frame.IP{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: frame.UDP, TTL: ttl}
	p.Payload = frame.Sum(p.Src, p.Dst, p.Proto, frame.Datagram(1, 9000, make([]byte, size)))
	return see(device, &wire.Frame{Bytes: frame.Ethernet(frame.MAC(dstMAC), frame.MAC(srcMAC), 0, p.Bytes()), At: time.Now()})
}

func TestImpossible(t *testing.T) {
	v4, v6 := plan4(), plan6()
	for _, c := range []struct {
		name string
		plan *plan
		s    *seen
		want string
	}{
		{"translated", v4, packetAt("o0", v4.uplink, v4.echoer, uplinkMAC, macA, 63, 8), ""},
		{"not translated", v4, packetAt("o0", v4.guest0, v4.echoer, uplinkMAC, macA, 63, 8), "a private source"},
		{"not routed", v4, packetAt("o0", v4.uplink, v4.echoer, uplinkMAC, macA, 64, 8), "a TTL of 64"},
		{"routed twice", v4, packetAt("o0", v4.uplink, v4.echoer, uplinkMAC, macA, 62, 8), "a TTL of 62"},
		{"from a guest's MAC", v4, packetAt("o0", v4.uplink, v4.echoer, mac0, macA, 63, 8), "a source that is not the NIC"},
		{"to nobody", v4, packetAt("o0", v4.uplink, v4.echoer, uplinkMAC, mac0, 63, 8), "not a router"},
		{"into a guest", v4, packetAt("g0", v4.echoer, v4.guest0, redMAC, mac0, 63, 8), ""},
		{"into a guest, not routed", v4, packetAt("g0", v4.echoer, v4.guest0, redMAC, mac0, 64, 8), "a TTL of 64"},
		{"over the bridge", v4, packetAt("g0", v4.guest1, v4.guest0, mac1, mac0, 64, 8), ""},
		{"over the bridge, routed", v4, packetAt("g0", v4.guest1, v4.guest0, mac1, mac0, 63, 8), "a TTL of 63"},
		{"translated in IPv6", v6, packetAt("o0", v6.publicA, v6.echoer, uplinkMAC, macA, 63, 8), ""},
		{"not translated in IPv6", v6, packetAt("o0", v6.guest1, v6.echoer, uplinkMAC, macA, 63, 8), "a private source"},
		{"routed as it is", v6, packetAt("o0", v6.guest0, v6.echoer, uplinkMAC, macA, 63, 8), ""},
		{"not routed in IPv6", v6, packetAt("o0", v6.guest0, v6.echoer, uplinkMAC, macA, 64, 8), "a TTL of 64"},
		{"of a link", v6, packetAt("o0", "fe80::1", "ff02::1", mac0, "33:33:00:00:00:01", 255, 8), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := (&judge{plan: c.plan}).impossible(c.s)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("said %q, want %q", got, c.want)
			}
		})
	}
}

// What is forbidden may be seen for its grace, and for as long as the agent did not run.
func TestBan(t *testing.T) {
	v4 := plan4()
	var stalled time.Duration
	j := judge{plan: v4, latest: map[string]time.Duration{}, stalls: func(_, _ time.Time) time.Duration { return stalled }}
	lift := j.forbid("datagrams to 9000", 10*time.Millisecond, func(s *seen) bool { return s.p.Dport == 9000 })
	s := packetAt("o0", v4.uplink, v4.echoer, uplinkMAC, macA, 63, 8)
	began := j.bans[0].from
	see := func(after time.Duration) int {
		s.at = began.Add(after)
		j.examine(s)
		return len(j.violations)
	}
	if n := see(-time.Millisecond) + see(9*time.Millisecond); n != 0 {
		t.Errorf("violations: %q", j.violations)
	}
	if see(11*time.Millisecond) != 1 {
		t.Error("a packet after the grace is not a violation")
	}
	stalled = 5 * time.Millisecond
	if see(14*time.Millisecond) != 1 {
		t.Error("the agent did not run, and yet it is a violation")
	}
	lift()
	if n := see(time.Hour); n != 1 {
		t.Errorf("it is allowed again, and yet there are %d violations", n)
	}
}

// The length that counts is that of segments.
func TestSegmentLength(t *testing.T) {
	v4 := plan4()
	p := frame.IP{Src: netip.MustParseAddr(v4.uplink), Dst: netip.MustParseAddr(v4.server), Proto: frame.TCP, TTL: 63}
	p.Payload = (&frame.Segment{Sport: 1, Dport: 2, Flags: frame.ACK, Data: make([]byte, 5000)}).Bytes()
	f := wire.Frame{Bytes: frame.Ethernet(frame.MAC(macA), frame.MAC(uplinkMAC), 0, p.Bytes()), Offload: wire.Offload{GSO: wire.GSOTCPv4, Size: 1360}}
	if got := see("o0", &f).length; got != 1400 {
		t.Errorf("%d bytes, want 1400", got)
	}
}
