// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/internal/netns"
)

// backends are the two of iptables, by the suffix of their programs.
func backends() []string { return []string{"legacy", "nft"} }

// command returns iptables' or ip6tables' program of a backend.
func command(backend string, v6 bool, suffix string) string {
	name := "iptables-" + backend
	if v6 {
		name = "ip6tables-" + backend
	}
	return name + suffix
}

// restore feeds iptables-restore without removing anything.
func (l *lab) restore(backend string, v6 bool, text string) {
	l.t.Helper()
	l.in(l.host, func() error {
		cmd := exec.CommandContext(l.t.Context(), command(backend, v6, "-restore"), "--noflush")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s-restore: %w\n%s\n%s", backend, err, out, text)
		}
		return nil
	})
}

// layout puts the programs into FORWARD, as the firewall does.
func (l *lab) layout(d *Datapath, backend string) {
	l.t.Helper()
	bpf := func(name string) string { return "-m bpf --object-pinned " + d.Path(name) }
	for _, v6 := range []bool{false, true} {
		l.restore(backend, v6, fmt.Sprintf(`*filter
:from -
:to -
:rest -
-A FORWARD -i br -j from
-A FORWARD -o br -j to
-A from %s -j RETURN
-A from %s -j RETURN
-A from %s -j DROP
-A from -j rest
-A to -i br -j RETURN
-A to %s -j RETURN
-A to %s -j DROP
-A to -j rest
COMMIT
`, bpf(FromTagged), bpf(FromPass), bpf(FromDrop), bpf(ToPass), bpf(ToDrop)))
	}
}

// counted returns the packets that each rule of a chain has counted, in order.
func (l *lab) counted(backend string, v6 bool, chain string) []uint64 {
	l.t.Helper()
	var all []uint64
	lines := strings.Split(l.run(l.host, command(backend, v6, ""), "-vnxL", chain), "\n")
	for _, line := range lines[2:] {
		if f := strings.Fields(line); len(f) > 0 {
			n, err := strconv.ParseUint(f[0], 10, 64)
			if err != nil {
				l.t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	return all
}

// send sends frames from a device.
func (l *lab) send(ns *netns.NS, device string, frames ...[]byte) {
	l.t.Helper()
	l.in(ns, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
			return err
		}
		for _, f := range frames {
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: int(ifr.Uint32())}); err != nil {
				return err
			}
		}
		return nil
	})
}

// eventually waits until what is observed is as it should be.
func eventually[T any](t *testing.T, want T, observe func() T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); ; {
		diff := cmp.Diff(want, observe())
		if diff == "" {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not so after a while (-want +got):\n%s", diff)
		}
	}
}

// leaves returns the packets of each rule that decided, in the tables in force.
func (l *lab) leaves(d *Datapath, outcomes map[Kind][]ruleset.Outcome) map[Kind]map[uint32]uint64 {
	l.t.Helper()
	all := map[Kind]map[uint32]uint64{}
	tables, err := d.Counters()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, table := range tables {
		if table.Final {
			continue
		}
		for i, c := range table.Leaves {
			if c.Packets == 0 {
				continue
			}
			if all[table.Kind] == nil {
				all[table.Kind] = map[uint32]uint64{}
			}
			for _, rule := range outcomes[table.Kind][i].Rules {
				all[table.Kind][rule] += c.Packets
			}
		}
	}
	return all
}

// compile returns a table of rules that are asked one after the other.
func compile(t testing.TB, family header.Family, o diagram.Options, policy ruleset.Verdict, rules ...ruleset.Rule) *Table {
	t.Helper()
	set := &ruleset.Set{Family: family, Base: "FORWARD", Policy: policy, Chains: map[string]*ruleset.Chain{"FORWARD": {Name: "FORWARD", Rules: rules}}}
	d, err := diagram.Compile(set, o)
	if err != nil {
		t.Fatal(err)
	}
	return &Table{Diagram: d}
}

// rule returns a rule about a range of a word.
func rule(id uint32, a ruleset.Action, w header.Word, lo, hi uint32) ruleset.Rule {
	var b header.Box
	b[w] = header.Set{{Lo: lo, Hi: hi}}
	return ruleset.Rule{ID: id, Boxes: []header.Box{b}, Action: a}
}

// The packet takes the way that the rules say, each rule counts it once, and iptables' rules are
// not asked.
func TestForward(t *testing.T) {
	for _, backend := range backends() {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/v6=%t", backend, v6), func(t *testing.T) { testForward(t, backend, v6) })
		}
	}
}

func testForward(t *testing.T, backend string, v6 bool) {
	l := newLab(t)
	d := l.attached()
	l.layout(d, backend)
	family, f := header.V4, guestFrame()
	ingress, forward := Ingress4, Forward4
	if v6 {
		family, f = header.V6, guestFrame6()
		ingress, forward = Ingress6, Forward6
	}
	rules := []ruleset.Rule{
		rule(1, ruleset.Accept, header.Dport, 1, 1),
		rule(2, ruleset.Deny, header.Dport, 2, 2),
		rule(3, ruleset.Deny, header.TTL, 8, 8),
		rule(4, ruleset.Foreign, header.Dport, 4, 4),
		rule(5, ruleset.Deny, header.Origin, header.To, header.To),
	}
	in := compile(t, family, diagram.Options{Stateless: true}, ruleset.Pass, rules...)
	in.Premises.NoDrop = true
	at := compile(t, family, diagram.Options{}, ruleset.Pass, rules...)
	outcomes := map[Kind][]ruleset.Outcome{ingress: in.Diagram.Leaves, forward: at.Diagram.Leaves}
	swap(t, d, Generation{Ingress4: in, Forward4: at, Ingress6: in, Forward6: at})
	packet := func(dport uint16, ttl byte) []byte {
		f := f
		f.dport, f.ttl = dport, ttl
		return f.bytes()
	}
	back := f
	back.src, back.dst, back.mac = f.dst, f.src, []byte{2, 0, 0, 0, 2, 1}
	l.send(l.guest, "g0", packet(1, 64), packet(1, 64), packet(1, 64), packet(2, 64), packet(2, 64), packet(9, 9), packet(4, 64))
	l.send(l.world, "w0", back.bytes())
	// from: tagged, pass, drop, rest; to: own, pass, drop, rest.
	eventually(t, [][]uint64{{3, 0, 3, 1}, {0, 0, 1, 0}}, func() [][]uint64 {
		return [][]uint64{l.counted(backend, v6, "from"), l.counted(backend, v6, "to")}
	})
	want := map[Kind]map[uint32]uint64{ingress: {1: 3}, forward: {2: 2, 3: 1, 5: 1}}
	if diff := cmp.Diff(want, l.leaves(d, outcomes)); diff != "" {
		t.Errorf("packets of rules (-want +got):\n%s", diff)
	}
	in.Premises.NoDrop = false
	swap(t, d, Generation{Ingress4: in, Forward4: at, Ingress6: in, Forward6: at})
	l.send(l.guest, "g0", packet(2, 64), packet(9, 9), packet(1, 64))
	eventually(t, []uint64{4, 0, 3, 1}, func() []uint64 { return l.counted(backend, v6, "from") })
	want = map[Kind]map[uint32]uint64{ingress: {1: 1, 2: 1, 3: 1}}
	if diff := cmp.Diff(want, l.leaves(d, outcomes)); diff != "" {
		t.Errorf("packets of rules (-want +got):\n%s", diff)
	}
}

// stateName is the state that iptables' match conntrack would be asked for.
func stateName(state uint32) string {
	return [...]string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"}[state&7]
}

// The programs see the state that iptables' own match sees, of each packet.
func TestState(t *testing.T) {
	for _, backend := range backends() {
		t.Run(backend, func(t *testing.T) { testState(t, backend) })
	}
}

// stateRules returns a rule for each value of the word, and iptables' rules for the same.
func stateRules(chain string) (rules []ruleset.Rule, text strings.Builder) {
	for ct := uint32(0); ct <= uint32(header.Untracked); ct++ {
		for bits := uint32(0); bits < header.StateEnd; bits += 8 {
			if bits != 0 && (ct == uint32(header.Invalid) || ct == uint32(header.Untracked)) {
				continue
			}
			state := ct | bits
			rules = append(rules, rule(state+1, ruleset.Accept, header.State, state, state))
			fmt.Fprintf(&text, "-A %s", chain)
			if ct != uint32(header.Invalid) && ct != uint32(header.Untracked) {
				dir := "ORIGINAL"
				if bits&header.StateReply != 0 {
					dir = "REPLY"
				}
				fmt.Fprintf(&text, " -m conntrack --ctdir %s", dir)
				for bit, name := range map[uint32]string{header.StateSNAT: "SNAT", header.StateDNAT: "DNAT"} {
					not := "! "
					if bits&bit != 0 {
						not = ""
					}
					fmt.Fprintf(&text, " -m conntrack %s--ctstate %s", not, name)
				}
			}
			fmt.Fprintf(&text, " -m conntrack --ctstate %s\n", stateName(state))
		}
	}
	return rules, text
}

func testState(t *testing.T, backend string) {
	l := newLab(t)
	d := l.attached()
	rules, text := stateRules("state")
	l.restore(backend, false, "*filter\n:state -\n-A FORWARD -j state\n"+text.String()+"COMMIT\n")
	l.restore(backend, false, `*raw
-A PREROUTING -p udp --dport 77 -j CT --notrack
COMMIT
*nat
-A PREROUTING -d 198.51.100.9 -j DNAT --to-destination 198.51.100.2
-A POSTROUTING -o w1 -p udp --dport 2001:2002 -j SNAT --to-source 198.51.100.1
COMMIT
`)
	l.layout(d, backend)
	in := compile(t, header.V4, diagram.Options{Stateless: true}, ruleset.Pass, rules...)
	at := compile(t, header.V4, diagram.Options{}, ruleset.Pass, rules...)
	swap(t, d, Generation{Ingress4: in, Forward4: at})
	sent := l.converse()
	eventually(t, sent, func() (n uint64) {
		for _, c := range l.counted(backend, false, "state") {
			n += c
		}
		return n
	})
	want := map[uint32]uint64{}
	for i, n := range l.counted(backend, false, "state") {
		if n > 0 {
			want[rules[i].ID] = n
		}
	}
	// All that can be made happen, or the test shows little.
	if len(want) < 11 {
		t.Errorf("only these states were seen: %v", want)
	}
	got := l.leaves(d, map[Kind][]ruleset.Outcome{Forward4: at.Diagram.Leaves, Ingress4: in.Diagram.Leaves})
	if diff := cmp.Diff(map[Kind]map[uint32]uint64{Forward4: want}, got); diff != "" {
		t.Errorf("packets by state + 1 (-iptables +program):\n%s", diff)
	}
}

// converse sends packets of many states, and returns how many reach FORWARD.
func (l *lab) converse() uint64 {
	l.t.Helper()
	n := uint64(0)
	guest := func(change func(*frame)) {
		f := guestFrame()
		change(&f)
		l.send(l.guest, "g0", f.bytes())
		n++
	}
	world := func(change func(*frame)) {
		f := guestFrame()
		f.src, f.dst, f.mac, f.sport, f.dport = f.dst, f.src, []byte{2, 0, 0, 0, 2, 1}, f.dport, f.sport
		change(&f)
		l.send(l.world, "w0", f.bytes())
		n++
	}
	same := func(*frame) {}
	for range 2 {
		guest(same)
		world(same)
	}
	for range 2 { // by SNAT
		guest(func(f *frame) { f.dport = 2001 })
		world(func(f *frame) { f.dst, f.sport = "198.51.100.1", 2001 })
	}
	for range 2 { // by DNAT
		guest(func(f *frame) { f.dst = "198.51.100.9" })
		world(func(f *frame) { f.sport = 2000 })
	}
	for range 2 { // by both
		guest(func(f *frame) { f.dst, f.dport = "198.51.100.9", 2002 })
		world(func(f *frame) { f.dst, f.sport = "198.51.100.1", 2002 })
	}
	guest(func(f *frame) { f.dport = 77 })                                                                   // untracked
	guest(func(f *frame) { f.proto, f.flags = header.TCP, 0x3f })                                            // no such flags: invalid
	guest(func(f *frame) { f.proto = header.ICMP; f.transport = []byte{0, 0, 0xff, 0xfd, 0, 1, 0, 1} })      // a reply to nothing: invalid
	world(func(f *frame) { f.proto = header.ICMP; f.transport = unreachable("192.0.2.10", "198.51.100.2") }) // related
	return n
}

// unreachable is the ICMP error of a packet of the guest's.
func unreachable(src, dst string) []byte {
	f := guestFrame()
	f.src, f.dst = src, dst
	b := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, f.ipv4()[:28]...)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	return b
}
