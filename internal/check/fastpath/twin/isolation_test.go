// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// lone is one hypervisor with the fast path.
type lone struct {
	*testing.T
	*Twin
	d *Driven
}

func newLone(t *testing.T, name string) *lone {
	t.Helper()
	privilegetest.BPF(t)
	spec, err := SpecNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNetwork("dwelltest-fastlone", spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := NewDriven(n, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &lone{t, &Twin{n, d}, d}
}

// send sends frames, and waits until all have come out.
func (l *lone) send(steps []Step) (out int) {
	l.Helper()
	o, err := l.Twin.Run(&Case{l.Spec, steps})
	if err != nil {
		l.Fatal(err)
	}
	return o.Frames()
}

// talk is datagrams from a to b and back, so many each.
func (l *lone) talk(a, b party, sport uint16, times int) (steps []Step) {
	var c conversation
	c.sides[0].sport, c.sides[0].dport = sport, 9000
	l.Spec.between(&c, a, b, 0, true)
	for range times {
		for i := range c.sides {
			s := &c.sides[i]
			p := &packet{from: s, IP: frame.IP{Src: s.src, Dst: s.dst, Proto: frame.UDP, TTL: 64}}
			p.Payload = frame.Sum(p.Src, p.Dst, p.Proto, frame.Datagram(s.sport, s.dport, make([]byte, 64)))
			steps = append(steps, l.Spec.steps(p, p.Bytes(), 0)...)
		}
	}
	return steps
}

// fastOf returns how many packets of a tenant were fast so far, and how many entries it has.
func (l *lone) fastOf(slot uint16) (fast uint64, entries int) {
	l.Helper()
	all, err := l.d.programs.Counts()
	if err != nil {
		l.Fatal(err)
	}
	for i := range all {
		if all[i].Slot == slot {
			fast += all[i].Fast
		}
	}
	usage, err := l.d.programs.Usage()
	if err != nil {
		l.Fatal(err)
	}
	return fast, usage[slot]
}

// A tenant that opens as many connections as it can fills its own table, and no other's.
func TestTableOfAnotherIsFull(t *testing.T) {
	l := newLone(t, "routed")
	var flood []Step
	for i := range uint16(capacity/2 + 500) {
		flood = append(flood, l.talk(guests[0], far[0], 10000+i, 1)...)
	}
	// All in one run, because what was learnt is forgotten before each.
	l.send(append(flood, l.talk(guests[blueGuest], far[0], 7, 400)...))
	if _, red := l.fastOf(redSlot); red > capacity || red < capacity*2/3 { // beyond three quarters, those that nobody approves go soon
		t.Errorf("red has %d entries, and may have %d", red, capacity)
	}
	fast, blue := l.fastOf(blueSlot)
	if blue != 2 || fast < 200 {
		t.Errorf("blue has %d entries and %d fast packets: they should be 2 and most of 800", blue, fast)
	}
}

// Packets with others' addresses teach nothing about others, nor what they may not.
func TestSpoofedIsNotLearnt(t *testing.T) {
	l := newLone(t, "routed")
	blue := guests[blueGuest]
	spoofed := blue
	spoofed.end = Guest0 // red's port
	var steps []Step
	for range 40 {
		// What red sends in blue's name is answered to blue.
		steps = append(steps, l.talk(spoofed, far[0], 7, 1)[0], l.talk(blue, far[0], 7, 1)[1])
	}
	steps = append(steps, l.talk(blue, far[0], 7, 200)...)
	l.send(steps)
	at := map[int]uint16{}
	attached, err := l.d.programs.Attached()
	if err != nil {
		t.Fatal(err)
	}
	for i := range attached {
		at[attached[i].Index] = attached[i].Slot
	}
	err = l.d.programs.Flows(func(f *flow.Flow) bool {
		if in := at[f.Key.IfIndex]; in != 0 && in != f.Slot {
			t.Errorf("an entry of tenant %d begins at a port of tenant %d: %+v", f.Slot, in, f)
		}
		if at[f.Key.IfIndex] == redSlot && f.Key.Src == blue.addrs[0] && f.Fast > 0 {
			t.Errorf("red was fast in blue's name: %+v", f)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if fast, _ := l.fastOf(blueSlot); fast < 100 {
		t.Errorf("only %d of blue's own packets were fast", fast)
	}
}

// A flood of what opens connections, and of what is malformed, leaves no entry behind, and others fast.
func TestFloodIsNotLearnt(t *testing.T) {
	l := newLone(t, "nat")
	var flood []Step
	for i := range uint16(2000) {
		s := &side{end: Guest0, src: guests[0].addrs[0], dst: far[0].addrs[0], srcMAC: l.Spec.own(Guest0), dstMAC: l.Spec.gateway(Guest0)}
		p := &packet{from: s, IP: frame.IP{Src: s.src, Dst: s.dst, Proto: frame.TCP, TTL: 64}}
		p.Payload = frame.Sum(p.Src, p.Dst, p.Proto, (&frame.Segment{Sport: 20000 + i, Dport: 80, Flags: frame.SYN}).Bytes())
		if i%2 == 1 {
			p.Payload = p.Payload[:i%20]
			p.Short = int(i % 7)
		}
		flood = append(flood, l.Spec.steps(p, p.Bytes(), 0)...)
	}
	before, _ := l.fastOf(blueSlot)
	l.send(append(flood, l.talk(guests[blueGuest], guests[2], 7, 300)...))
	if _, red := l.fastOf(redSlot); red > 2 {
		t.Errorf("a flood has left %d entries", red)
	}
	if after, _ := l.fastOf(blueSlot); after-before < 100 {
		t.Errorf("only %d of 600 packets of others were fast", after-before)
	}
}
