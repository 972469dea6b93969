// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// Each attack is sent, nothing that is another's is taken, and no network is left.
func TestIsolation(t *testing.T) {
	privilegetest.NetNS(t)
	privilegetest.BPF(t)
	privilegetest.Kernel(t, bypass.Supported())
	var out, progress strings.Builder
	if err := run(t.Context(), []string{"-quick", "-isolation"}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, progress.String(), out.String())
	}
	t.Log(out.String())
	for _, a := range attacks() {
		for _, want := range []string{a.name + ": " + a.summary, a.name + ": ping, µs", a.name + ": UDP request, µs"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the output lacks %q", want)
			}
		}
	}
	if n := strings.Count(out.String(), "or fast in another's name: 0 entries"); n != len(attacks()) {
		t.Errorf("%d attacks of %d took nothing of another's", n, len(attacks()))
	}
	checkNothingLeft(t)
}

// What is in another's name, at another's port or in another's room is told apart.
func TestStrange(t *testing.T) {
	t.Parallel()
	var s strange
	for _, d := range []accelerator.DirectionListing{
		{Packet: "icmp 10.1.0.2 > 192.0.2.1 type 8/0", In: otherPort, Out: uplinkDevice, State: accelerator.StateFast},
		{Packet: "tcp 192.0.2.1:80 > 192.0.2.254:1024", In: uplinkDevice, Out: otherPort, State: accelerator.StateFast},
		{Packet: "icmp 10.0.0.2 > 192.0.2.1 type 8/0", In: otherPort, Out: uplinkDevice, State: accelerator.StateLearning},
		{Packet: "tcp 10.0.0.2:1 > 192.0.2.1:2", In: otherPort, Out: uplinkDevice, State: accelerator.StateEnded, Fast: 1},
		{Packet: "tcp 10.0.0.2:1 > 192.0.2.1:3", In: otherPort, Out: uplinkDevice, State: accelerator.StateFast},
		{Packet: "icmp 10.0.0.2 > 192.0.2.1 type 8/0", In: portDevice, Out: uplinkDevice, State: accelerator.StateLearning},
	} {
		s.add(&d, blue, otherPort, netip.MustParsePrefix(otherNet))
	}
	want := strange{
		taken: []string{
			"blue's: tcp 10.0.0.2:1 > 192.0.2.1:2 from tap-blue to uplink: ended",
			"blue's: tcp 10.0.0.2:1 > 192.0.2.1:3 from tap-blue to uplink: fast",
			"blue's: icmp 10.0.0.2 > 192.0.2.1 type 8/0 from tap-red to uplink: learning",
		},
		named: []string{"blue's: icmp 10.0.0.2 > 192.0.2.1 type 8/0 from tap-blue to uplink: learning"},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(strange{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, text := range []string{"", "icmp", "icmp x > y"} {
		if a := sourceOf(text); a.IsValid() {
			t.Errorf("%q has the source %v", text, a)
		}
	}
}

// The frames of an attack are the attacker's, and are what it says they are.
func TestAttackFrames(t *testing.T) {
	t.Parallel()
	s := &stranger{next: []byte{2, 0, 0, 0, 0, 1}, own: []byte{2, 0, 0, 0, 0, 2}}
	own, guest := netip.MustParsePrefix(otherNet), netip.MustParseAddr(guestAddr)
	for _, a := range attacks() {
		frames := a.frames(s)
		inAnotherName, asTheGuest := 0, 0
		for _, f := range frames {
			if !bytes.Equal(f[:12], append(append([]byte{}, s.next...), s.own...)) {
				t.Fatalf("%s: a frame from %x to %x", a.name, f[6:12], f[:6])
			}
			from := netip.AddrFrom4([4]byte(f[ethLen+12:]))
			if !own.Contains(from) {
				inAnotherName++
			}
			if from == guest {
				asTheGuest++
			}
		}
		spoofs := a.name == "spoof"
		if len(frames) == 0 || spoofs != (inAnotherName == len(frames)) || spoofs != (asTheGuest > 0) {
			t.Errorf("%s: of %d frames, %d are in another's name and %d in the guest's", a.name, len(frames), inAnotherName, asTheGuest)
		}
	}
}
