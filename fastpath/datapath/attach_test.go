// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// hows are the ways to attach that the kernel has, the one that it is given first.
func hows() []string {
	if version, err := features.LinuxVersionCode(); err == nil && version < 6<<16|6<<8 {
		return []string{byClsact}
	}
	return []string{byTCX, byClsact}
}

// by opens the programs so that they attach in one of the ways.
func (l *lab) by(how string) *Datapath {
	l.t.Helper()
	d := l.open()
	d.clsact = how != hows()[0]
	if got, err := d.Attach(l.port, l.device); err != nil || got != how {
		l.t.Fatalf("attached by %q, want %q: %v", got, how, err)
	}
	return d
}

// drops sends packets of which the program at the port drops every one, and waits for that.
func (l *lab) drops(t *testing.T, d *Datapath) {
	t.Helper()
	f := guestFrame()
	before := l.counts(d).Dropped
	l.send(l.guest, "g0", f.bytes(), f.bytes())
	eventually(t, before+2, func() uint64 { return l.counts(d).Dropped })
}

func TestAttach(t *testing.T) {
	for _, how := range hows() {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			before := l.attachments()
			d := l.by(how)
			swap(t, d, everywhere(always(ruleset.Drop)))
			l.drops(t, d)
			once := l.attachments()
			for range 3 { // attaching again changes nothing
				if got, err := d.Attach(l.port, l.device); got != how || err != nil {
					t.Fatalf("attached again by %q: %v", got, err)
				}
			}
			if diff := cmp.Diff(once, l.attachments()); diff != "" {
				t.Errorf("attached again (-want +got):\n%s", diff)
			}
			if got, err := d.Attached(); err != nil || !cmp.Equal(got, []AttachedPort{{l.port.Index, how}}) {
				t.Errorf("attached: %v, %v", got, err)
			}
			l.drops(t, d)
			if err := d.Detach(l.port.Index); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Attached(); err != nil || len(got) != 0 {
				t.Errorf("attached after Detach: %v, %v", got, err)
			}
			if diff := cmp.Diff(before, l.attachments()); diff != "" {
				t.Errorf("left after Detach (-want +got):\n%s", diff)
			}
			if err := d.Detach(l.port.Index); err != nil {
				t.Errorf("detached again: %v", err)
			}
		})
	}
}

// attachments is what tc and bpf say of the port.
func (l *lab) attachments() string {
	l.t.Helper()
	text := l.run(l.host, "tc", "qdisc", "show", "dev", "p0")
	if strings.Contains(text, "clsact") {
		text += l.run(l.host, "tc", "filter", "show", "dev", "p0", "ingress")
	}
	l.in(l.host, func() error {
		result, err := link.QueryPrograms(link.QueryOptions{Target: l.port.Index, Attach: ebpf.AttachTCXIngress})
		if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL) {
			return nil // before TCX
		}
		if err != nil {
			return err
		}
		text += fmt.Sprintf("%d programs by TCX", len(result.Programs))
		return nil
	})
	return text
}

// A clsact that was there before, and what is in it, stay.
func TestClsactOfAnother(t *testing.T) {
	l := newLab(t)
	l.run(l.host, "tc", "qdisc", "add", "dev", "p0", "clsact")
	before := l.attachments()
	d := l.by(byClsact)
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, l.attachments()); diff != "" {
		t.Errorf("after Remove (-want +got):\n%s", diff)
	}
	l.run(l.host, "tc", "qdisc", "del", "dev", "p0", "clsact")
	d = l.by(byClsact)
	l.in(l.host, func() error {
		return netlink.FilterAdd(&netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.port.Index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Priority: 9, Protocol: unix.ETH_P_ALL,
		}, Fd: d.programs[plainProgIngress].FD(), Name: "another", DirectAction: true})
	})
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if got := l.attachments(); !strings.Contains(got, "clsact") || strings.Contains(got, "dwell") {
		t.Errorf("after Remove: %s", got)
	}
	if out := l.run(l.host, "tc", "filter", "show", "dev", "p0", "egress"); !strings.Contains(out, "another") {
		t.Errorf("the other's filter is gone: %s", out)
	}
}

// A program stays in force when the agent dies, and is found by the next.
func TestAdopt(t *testing.T) {
	for _, how := range hows() {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			d := l.by(how)
			generation := swap(t, d, everywhere(always(ruleset.Drop)))
			l.drops(t, d)
			once := l.attachments()
			if err := d.Close(); err != nil { // as a crash does
				t.Fatal(err)
			}
			f := guestFrame()
			l.send(l.guest, "g0", f.bytes())
			d = l.open()
			eventually(t, 3, func() uint64 { return l.counts(d).Dropped })
			if d.Renewed() {
				t.Error("the same programs were made anew")
			}
			if diff := cmp.Diff(once, l.attachments()); diff != "" {
				t.Errorf("after adoption (-want +got):\n%s", diff)
			}
			counts, err := d.Counters()
			if err != nil || len(counts) != int(kinds) {
				t.Fatalf("counters: %v, %v", counts, err)
			}
			if c := counts[Ingress4]; c.Generation != generation || c.Leaves[1].Packets != 3 {
				t.Errorf("adopted: %+v, want generation %d and 3 packets", c, generation)
			}
			if got := swap(t, d, everywhere(always(ruleset.Drop))); got != generation+1 {
				t.Errorf("the next generation is %d", got)
			}
			l.drops(t, d)
			if err := d.Remove(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(d.dir()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("after Remove: %v", err)
			}
		})
	}
}

// A program of another version takes the place of the old one, at ports and for rules to come.
func TestAdoptAnotherVersion(t *testing.T) {
	for _, how := range hows() {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			d := l.by(how)
			swap(t, d, everywhere(always(ruleset.Drop)))
			d.kernel.ctOptsSize = 0 // another constant is another program
			spec, err := d.spec(loadPlain)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(d.openPrograms(spec, nil, false), d.renewLinks()); err != nil {
				t.Fatal(err)
			}
			if !d.renewed {
				t.Error("the programs stayed")
			}
			f := guestFrame()
			l.send(l.guest, "g0", f.bytes())
			eventually(t, map[Reason]uint64{ZoneUnknown: 1}, func() map[Reason]uint64 { return l.counts(d).Deferred })
			d.Close()
			d = l.open()
			if !d.Renewed() {
				t.Error("Renewed is false")
			}
			l.drops(t, d)
		})
	}
}

// A port that was made anew is another device. What was pinned for the old one goes.
func TestPortMadeAnew(t *testing.T) {
	for _, how := range hows() {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			d := l.by(how)
			swap(t, d, everywhere(always(ruleset.Drop)))
			old := l.port.Index
			l.ip(l.host, "link del p0", fmt.Sprintf("link add name p0 type veth peer name g0 netns %s", l.guest.Name()),
				"link set p0 master br", "link set p0 up")
			l.ip(l.guest, "link set g0 address 02:00:00:00:01:10", "link set g0 up")
			l.look()
			if got, err := d.Attached(); err != nil || len(got) != 0 {
				t.Errorf("attached: %v, %v", got, err)
			}
			if pins, _ := os.ReadDir(d.dir()); strings.Contains(fmt.Sprint(pins), linkPrefix) {
				t.Errorf("the old link is pinned still: %v", pins)
			}
			if got, err := d.Attach(l.port, l.device); got != how || err != nil {
				t.Fatalf("attached by %q: %v", got, err)
			}
			l.drops(t, d)
			if err := d.Detach(old); err != nil {
				t.Error(err)
			}
			if ports, err := d.Ports(); err != nil || len(ports) != 1 {
				t.Errorf("ports: %v, %v", ports, err)
			}
		})
	}
}

// There is a limit, and who meets it is told.
func TestMapFull(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	ports := d.maps[plainMapPorts]
	for i := range ports.MaxEntries() - 1 {
		if err := ports.Put(1_000_000+i, plainPort{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Attach(l.port, l.device); err != nil {
		t.Errorf("a port that is known already: %v", err)
	}
	other := l.port
	other.Index = l.device.Index
	if _, err := d.Attach(other, l.device); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "1024") {
		t.Errorf("error %v, want %v", err, ErrFull)
	}
}

// A device without hardware addresses is not for the program.
func TestNotEthernet(t *testing.T) {
	l := newLab(t)
	d := l.open()
	l.device.MAC = [6]byte{}
	if _, err := d.Attach(l.port, l.device); err == nil || !strings.Contains(err.Error(), "not an Ethernet device") {
		t.Errorf("error %v", err)
	}
}

// Whatever the packet, what another has written as a tag is gone, so that FORWARD can trust it.
func TestTagIsAlwaysWritten(t *testing.T) {
	for _, how := range hows() {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			d := l.by(how)
			seen := l.around(how)
			arp := guestFrame()
			arp.ethertype = 0x0806
			for _, tt := range []struct {
				name   string
				g      Generation
				packet []byte
				want   uint64
			}{
				{"passed", everywhere(always(ruleset.Pass)), guard{}.packet(), 2},
				{"not IP", everywhere(always(ruleset.Pass)), arp.bytes(), 0},
				{"deferred", everywhere(always(ruleset.Defer)), guard{}.packet(), 0},
				{"no rules", Generation{}, guard{}.packet(), 0},
				{"bridged", everywhere(always(ruleset.Pass)), guard{change: func(f *frame) { f.mac[5] = 9 }}.packet(), 0},
				{"fragment", everywhere(always(ruleset.Pass)), guard{change: func(f *frame) { f.fragment = 1 }}.packet(), 0},
			} {
				generation := swap(t, d, tt.g)
				if tt.want != 0 {
					tt.want |= uint64(generation&1) << 15
				}
				if err := seen.Put(uint32(0), uint64(99)); err != nil {
					t.Fatal(err)
				}
				l.send(l.guest, "g0", tt.packet)
				eventually(t, tt.want, func() (tag uint64) {
					if err := seen.Lookup(uint32(0), &tag); err != nil {
						t.Fatal(err)
					}
					return tag
				})
			}
			if err := d.Detach(l.port.Index); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// around puts a program before ours that writes a tag, and one after that shows the tag.
func (l *lab) around(how string) *ebpf.Map {
	l.t.Helper()
	const tcIndex = 44 // in struct __sk_buff
	seen, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { seen.Close() })
	l.beside(how, true, asm.Instructions{
		asm.Mov.Imm(asm.R2, 77), asm.StoreMem(asm.R1, tcIndex, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, -1), asm.Return(),
	})
	l.beside(how, false, asm.Instructions{
		asm.LoadMem(asm.R3, asm.R1, tcIndex, asm.Word),
		asm.LoadMapValue(asm.R2, seen.FD(), 0), asm.StoreMem(asm.R2, 0, asm.R3, asm.DWord),
		asm.Mov.Imm(asm.R0, -1), asm.Return(),
	})
	return seen
}

// beside attaches a program before ours, or after.
func (l *lab) beside(how string, before bool, program asm.Instructions) {
	l.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: program, License: "GPL"})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { p.Close() })
	l.in(l.host, func() error {
		if how == byClsact {
			f := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
				LinkIndex: l.port.Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 2, Protocol: unix.ETH_P_ALL,
			}, Fd: p.FD(), Name: "after", DirectAction: true}
			if before {
				// One of the same priority that was added later comes first.
				f.Priority, f.Handle = filterPriority, 1
			}
			return netlink.FilterAdd(f)
		}
		anchor := link.Tail()
		if before {
			anchor = link.Head()
		}
		at, err := link.AttachTCX(link.TCXOptions{Interface: l.port.Index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: anchor})
		if err == nil {
			l.t.Cleanup(func() { at.Close() })
		}
		return err
	})
}
