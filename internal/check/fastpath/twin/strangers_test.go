// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// patience is how long a flow may take to become fast: less than the lease that it has meanwhile, on which it
// must not depend.
const patience = 30 * time.Second

// outward is a guest who speaks to somebody outside, and is translated on the way if others are.
func (l *lone) outward(proto uint8, family int) *speech {
	f := &speech{conversation: &conversation{proto: proto}, spec: &l.Spec, ttl: [2]uint8{64, 64}, tos: 0x20, next: [2]uint32{1 << 20, 1 << 24}}
	f.sides[0].sport, f.sides[0].dport = 4007, 80
	l.Spec.between(f.conversation, guests[0], far[0], family, true)
	if l.Spec.NAT {
		translateSource(f.conversation, 0, family)
	}
	if proto == frame.ICMP || proto == frame.ICMPv6 {
		f.echo()
	}
	return f
}

// forget begins anew, with leases as long as there are, and connections that last longer than those.
func (l *lone) forget() {
	l.Helper()
	const timeouts = "net/netfilter/nf_conntrack_"
	err := errors.Join(l.d.Begin(), l.nl.ConntrackTableFlush(netlink.ConntrackTable), l.d.programs.SetLease(time.Minute),
		l.Hypervisor.Do(func() error {
			return sysctl(timeouts+"udp_timeout=600", timeouts+"udp_timeout_stream=600", timeouts+"tcp_timeout_close=100")
		}))
	if err != nil {
		l.Fatal(err)
	}
}

// said is a packet of a side, changed in a way. All are alike otherwise.
func (l *lone) said(f *speech, from int, change func(*packet)) []Step {
	s, data := &f.sides[from], make([]byte, 64)
	p := &packet{from: s, IP: frame.IP{Src: s.src, Dst: s.dst, Proto: f.proto, TTL: f.ttl[from], TOS: f.tos, Label: f.label}}
	switch {
	case f.proto == frame.UDP:
		p.Payload = frame.Datagram(s.sport, s.dport, data)
	case f.opened < 3:
		p.Payload = (&frame.Segment{Sport: s.sport, Dport: s.dport, Seq: f.next[from], Ack: f.next[1-from], Flags: []uint8{frame.SYN, frame.SYN | frame.ACK, frame.ACK}[f.opened], Window: 1 << 15}).Bytes()
		f.next[from] += uint32(1 - f.opened/2)
		f.opened++
	default:
		p.Payload = (&frame.Segment{Sport: s.sport, Dport: s.dport, Seq: f.next[from], Ack: f.next[1-from], Flags: frame.ACK, Window: 1 << 15, Data: data}).Bytes()
		if change == nil { // others are not answered
			f.next[from] += uint32(len(data))
		}
	}
	sumUp(p)
	if change != nil {
		change(p)
	}
	return l.Spec.steps(p, p.Bytes(), 0)
}

// both is what both sides say.
func (l *lone) both(f *speech, change func(*packet)) []Step {
	return append(l.said(f, 0, change), l.said(f, 1, change)...)
}

// becomesFast has both sides speak until both are fast. Flows that have ended are swept, as the agent does. It reports whether they
// ever were.
func (l *lone) becomesFast(f *speech) bool {
	l.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if l.more(l.both(f, nil)) == 2 {
			return true
		}
		if _, err := l.d.programs.Sweep(context.Background(), time.Hour); err != nil {
			l.Fatal(err)
		}
	}
	return false
}

// next sends what both sides say, while the fast path is attended, and returns how many packets were fast.
func (l *lone) next(f *speech) uint64 {
	l.Helper()
	if err := l.d.programs.Beat(); err != nil {
		l.Fatal(err)
	}
	return l.more(l.both(f, nil))
}

// ended returns the flows that have ended.
func (l *lone) ended() (list []*flow.Flow) {
	l.Helper()
	for _, f := range l.flows() {
		if f.Ended != flow.Fast {
			list = append(list, f)
		}
	}
	return list
}

// last says why packets of each flow were slow.
func (l *lone) last() (list []string) {
	l.Helper()
	for _, f := range l.flows() {
		list = append(list, fmt.Sprintf("%v: last %v, ended %v, agreed %d, slow %d, lease %v", f.Key, f.Last, f.Ended, f.Agreed, f.Slow, f.Lease))
	}
	return list
}

// relabel gives the packet another flow label.
func relabel(p *packet) { p.Label ^= 0x5a5a5 }

// A flow whose first packet was unlike all others is fast long before its lease is over.
func TestOddFirst(t *testing.T) {
	for _, c := range []struct {
		name   string
		family int
		change func(*packet)
	}{
		{"class", 0, func(p *packet) { p.TOS ^= 0x40 }},
		{"class6", 1, func(p *packet) { p.TOS ^= 0x40 }},
		{"label", 1, relabel},
		{"source on the link", 0, func(p *packet) { p.readdress(nil, frame.MAC("02:00:00:00:09:0a")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLone(t, "routed-tracked")
			l.forget()
			f := l.outward(frame.UDP, c.family)
			l.more(l.both(f, nil)) // opens the connection
			if _, err := l.d.programs.Flush(0); err != nil {
				t.Fatal(err)
			}
			l.more(l.both(f, c.change))
			if !l.becomesFast(f) {
				t.Errorf("it is not fast: %v", l.last())
			}
		})
	}
}

// A flow of which every other packet has another class is fast for the one class, and is not ended for the other.
func TestTwoClasses(t *testing.T) {
	l := newLone(t, "routed-tracked")
	l.forget()
	f := l.outward(frame.UDP, 0)
	other := func(p *packet) { p.TOS ^= 0x40 }
	for deadline := time.Now().Add(patience); ; {
		if l.more(append(l.both(f, nil), l.both(f, other)...)) == 2 {
			break
		}
		if ended := l.ended(); len(ended) > 0 {
			t.Fatalf("ended: %+v", ended)
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not fast: %v", l.last())
		}
	}
}

// flagged makes the packet one of TCP with these flags and another sequence number.
func flagged(flags uint8, seq uint32) func(*packet) {
	return func(p *packet) {
		p.Payload = p.Payload[:20]
		p.Payload[12], p.Payload[13] = 5<<4, flags
		binary.BigEndian.PutUint32(p.Payload[4:], seq)
		sumUp(p)
	}
}

// stranger is a packet that somebody sends who knows the addresses and ports of a flow, and no more.
type stranger struct {
	name   string
	change func(*packet)
	// unlike: it is treated as one of the flow, and says that this one is another way now.
	unlike bool
	// costs is how many packets of the flow have to take the slow path then.
	costs uint64
}

func strangers(proto uint8, family int) []stranger {
	list := []stranger{
		{"a wrong checksum", func(p *packet) { p.Payload[len(p.Payload)-1] ^= 0x5a }, false, 0},
		{"another class", func(p *packet) { p.TOS ^= 0x40 }, true, 0},
		{"another source on the link", func(p *packet) { p.readdress(nil, frame.MAC("02:00:00:00:09:0a")) }, true, 0},
		{"an empty time to live", func(p *packet) { p.TTL = 1 }, false, 0},
		{"cut off", func(p *packet) { p.Payload = p.Payload[:7] }, false, 0},
		{"a first fragment", func(p *packet) { p.Fragmented, p.Fragment = true, []uint16{0x2000, 1}[family] }, false, 0},
	}
	if family == 1 {
		list = append(list, stranger{"another label", relabel, true, 0})
	}
	if proto == frame.TCP {
		list = append(list,
			stranger{"opens", flagged(frame.SYN, 1), false, 0},
			stranger{"accepts", flagged(frame.SYN|frame.ACK, 1), false, 0},
			stranger{"resets before", flagged(frame.RST, 1), false, 0},
			// Connection tracking lets it pass and cuts the timeout.
			stranger{"resets after", flagged(frame.RST, 1<<30), false, 2},
			stranger{"a wrong reset", func(p *packet) { flagged(frame.RST, 1<<30)(p); p.Payload[16] ^= 0x5a }, false, 0},
			stranger{"a wrong end", func(p *packet) { flagged(frame.FIN|frame.ACK, 1<<30)(p); p.Payload[16] ^= 0x5a }, false, 0},
		)
	}
	return list
}

// What a stranger sends from outside does not end a flow, whether it is fast or about to be seen by the kernel again.
func TestStrangersEndNothing(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		proto      uint8
		family     int
	}{
		{"TCP", "routed-tracked", frame.TCP, 0},
		{"UDP", "routed-tracked", frame.UDP, 0},
		{"UDP6", "routed-tracked", frame.UDP, 1},
		{"TCP translated", "nat-windows", frame.TCP, 0},
		{"UDP translated", "nat-windows", frame.UDP, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLone(t, c.spec)
			l.forget()
			f := l.outward(c.proto, c.family)
			if !l.becomesFast(f) {
				t.Fatalf("it is not fast: %v", l.last())
			}
			for _, s := range strangers(c.proto, c.family) {
				l.more(l.said(f, 1, s.change))
				if fast := l.next(f); fast+s.costs < 2 {
					t.Errorf("%s: then %d of 2 packets were fast: %v", s.name, fast, l.last())
				}
				l.d.programs.Changed()
				if !s.unlike { // now it comes when the kernel has to see the flow again
					l.more(l.said(f, 1, s.change))
				}
				l.more(l.both(f, nil))
				if ended := l.ended(); len(ended) > 0 {
					t.Errorf("%s: ended %+v", s.name, ended[0])
				}
				if !l.becomesFast(f) {
					t.Fatalf("%s: it is not fast any more: %v", s.name, l.last())
				}
			}
		})
	}
}

// When the second side closes a connection, or one is opened where another was, its flows are over at once.
func TestClosedIsEnded(t *testing.T) {
	l := newLone(t, "nat-windows")
	l.forget()
	f := l.outward(frame.TCP, 0)
	if !l.becomesFast(f) {
		t.Fatalf("it is not fast: %v", l.last())
	}
	for i := range f.sides {
		l.more(l.said(f, i, flagged(frame.FIN|frame.ACK, f.next[i])))
	}
	if ended := l.ended(); len(ended) != 2 {
		t.Errorf("it goes on: %v", l.last())
	}
}

// A connection that was opened anew in its midst has lost that windows are no matter to it, and is not fast before they are
// again: not in the direction either that has not been seen meanwhile.
func TestReopened(t *testing.T) {
	l := newLone(t, "nat-windows")
	l.forget()
	f := l.outward(frame.TCP, 0)
	if !l.becomesFast(f) {
		t.Fatalf("it is not fast: %v", l.last())
	}
	l.d.stop() // nobody approves it again
	l.d.done.Wait()
	for _, e := range l.flows() {
		if e.Key.Src == f.sides[0].src {
			if err := l.d.programs.End(e.Key, e.ID, flow.Changed); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.opened, f.next = 0, [2]uint32{1 << 28, 1 << 29}
	for i := range 3 {
		l.more(l.said(f, i%2, nil))
	}
	if err := l.d.programs.Beat(); err != nil {
		t.Fatal(err)
	}
	if fast := l.more(l.said(f, 1, nil)); fast != 0 {
		t.Errorf("it was fast: %v", l.last())
	}
}

// A connection whose timeout was cut does not end while its flow is fast.
func TestTimeoutIsCut(t *testing.T) {
	l := newLone(t, "nat-windows")
	l.forget()
	f := l.outward(frame.TCP, 0)
	if !l.becomesFast(f) {
		t.Fatalf("it is not fast: %v", l.last())
	}
	l.more(l.said(f, 1, flagged(frame.RST, 1<<30)))
	if fast := l.more(l.said(f, 0, nil)); fast != 0 {
		t.Errorf("the kernel has not seen that the connection goes on: %v", l.last())
	}
	if fast := l.next(f); fast != 2 {
		t.Errorf("then %d of 2 packets were fast: %v", fast, l.last())
	}
}

// Nor does one with a wrong checksum that leaves nonetheless, without having been translated.
func TestWrongChecksumEndsNothing(t *testing.T) {
	l := newLone(t, "nat-windows")
	l.forget()
	f := l.outward(frame.UDP, 0)
	if !l.becomesFast(f) {
		t.Fatalf("it is not fast: %v", l.last())
	}
	l.more(l.said(f, 0, func(p *packet) { p.Payload[len(p.Payload)-1] ^= 0x5a }))
	if fast := l.next(f); fast != 2 {
		t.Errorf("then %d of 2 packets were fast: %v", fast, l.last())
	}
}

// Nor does a packet in a tunnel that comes from somebody else's end of it.
func TestTunnelOfAnother(t *testing.T) {
	l := newLone(t, "vxlan-routed")
	l.forget()
	f := l.outward(frame.UDP, 0)
	if !l.becomesFast(f) {
		t.Fatalf("it is not fast: %v", l.last())
	}
	forged := l.said(f, 1, nil)
	outer := forged[0].Frame.Bytes[14:34]
	outer[15]++ // of the source
	outer[10], outer[11] = 0, 0
	binary.BigEndian.PutUint16(outer[10:], frame.Checksum(outer, 0))
	l.more(forged)
	if fast := l.next(f); fast != 2 {
		t.Errorf("then %d of 2 packets were fast: %v", fast, l.last())
	}
}
