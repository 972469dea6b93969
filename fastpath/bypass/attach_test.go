// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// at returns what is attached to a device at both hooks, first to last: "ours" if it is the program of b, "stray" if it
// is the fast path's but not of b, "other".
func (l *lab) at(b *Bypass, index int) map[string][]string {
	l.t.Helper()
	found := map[string][]string{}
	for _, h := range hooks() {
		var mine ebpf.ProgramID
		if b != nil {
			info, err := b.programs[h.program].Info()
			if err != nil {
				l.t.Fatal(err)
			}
			mine, _ = info.ID()
		}
		l.in(func() error {
			all, err := present(h, index)
			for _, p := range all {
				switch {
				case p.ID == mine:
					found[h.program] = append(found[h.program], "ours")
				case isOurs(h, p.ID):
					found[h.program] = append(found[h.program], "stray")
				default:
					found[h.program] = append(found[h.program], "other")
				}
			}
			return err
		})
	}
	return found
}

// want compares what is attached.
func (l *lab) want(what string, b *Bypass, index int, want map[string][]string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.at(b, index)); diff != "" {
		l.t.Errorf("%s: at the device (-want +got):\n%s", what, diff)
	}
}

// both is what a device has that is listed.
func both() map[string][]string { return map[string][]string{"ingress": {"ours"}, "egress": {"ours"}} }

// foreign attaches a program of somebody else's.
func (l *lab) foreign(index int, at ebpf.AttachType, anchor link.Anchor) {
	l.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "ingress", Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, -1), asm.Return(),
	}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { p.Close() })
	l.in(func() error {
		at, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: at, Anchor: anchor})
		if err == nil {
			l.t.Cleanup(func() { at.Close() })
		}
		return err
	})
}

// The programs are before those of others, which stay.
func TestBeforeOthers(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.foreign(d0.Index, ebpf.AttachTCXIngress, link.Head())
	l.foreign(d0.Index, ebpf.AttachTCXEgress, link.Head())
	l.set(b, d0)
	want := map[string][]string{"ingress": {"ours", "other"}, "egress": {"ours", "other"}}
	l.want("attached", b, d0.Index, want)
	l.set(b, d0)
	l.want("again", b, d0.Index, want)
	l.set(b)
	l.want("detached", b, d0.Index, map[string][]string{"ingress": {"other"}, "egress": {"other"}})
}

// Whatever happened to the pins, a device has each program once.
func TestNeverTwice(t *testing.T) {
	for name, lose := range map[string]func(*lab, *Bypass, int) *Bypass{
		"nothing lost": func(_ *lab, b *Bypass, _ int) *Bypass { return b },
		"pins removed": func(l *lab, b *Bypass, index int) *Bypass {
			for _, h := range hooks() {
				if err := os.Remove(b.path(h.linkName(index))); err != nil {
					l.t.Fatal(err)
				}
			}
			return b
		},
		"pins removed, somebody has the links": func(l *lab, b *Bypass, index int) *Bypass {
			for _, h := range hooks() {
				held, _, err := b.pinnedLink(h, index)
				if err != nil {
					l.t.Fatal(err)
				}
				l.t.Cleanup(func() { held.Close() })
				if err := os.Remove(b.path(h.linkName(index))); err != nil {
					l.t.Fatal(err)
				}
			}
			return b
		},
		"bpffs is another for a new agent": func(l *lab, b *Bypass, _ int) *Bypass {
			if err := errors.Join(b.Close(), bindElsewhere(l), unix.Unmount(l.pin, 0)); err != nil {
				l.t.Fatal(err)
			}
			return l.open()
		},
		"another agent with other pins": func(l *lab, b *Bypass, index int) *Bypass {
			other := &lab{t: l.t, ns: l.ns, pin: newPin(l.t)}
			l.set(other.open(), Device{Index: index, Name: "d0", Port: true, Slot: 1})
			return b
		},
		"adopted": func(l *lab, b *Bypass, _ int) *Bypass {
			if err := b.Close(); err != nil {
				l.t.Fatal(err)
			}
			return l.open()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 1)
			b := l.open()
			d0 := l.port("d0", 1)
			l.set(b, d0)
			l.want("attached", b, d0.Index, both())
			b = lose(l, b, d0.Index)
			for range 2 {
				l.set(b, d0)
				l.want("set again", b, d0.Index, both())
			}
			l.set(b)
			l.want("detached", b, d0.Index, map[string][]string{})
		})
	}
}

// bindElsewhere mounts bpffs at another place, too, as a container does.
func bindElsewhere(l *lab) error {
	dir := filepath.Join(l.t.TempDir(), "elsewhere")
	if err := errors.Join(os.Mkdir(dir, 0o700), unix.Mount(l.pin, dir, "", unix.MS_BIND, "")); err != nil {
		return err
	}
	l.t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			l.t.Error(err)
		}
	})
	return nil
}

// A device that was made anew with the same index is another one: what was learnt of the old one does not hold.
func TestDeviceMadeAnew(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	l.ip("link del d0")
	if got, err := b.Attached(); err != nil || len(got) != 0 {
		t.Errorf("attached to a device that is gone: %+v, %v", got, err)
	}
	if pins, err := b.links(); err != nil || len(pins) != 0 {
		t.Errorf("links are pinned still: %v, %v", pins, err)
	}
	l.ip("link add name d0 index %d type veth peer name e0", d0.Index)
	before, approval := numbers(t, b), b.Approval()
	l.set(b, d0)
	l.want("made anew", b, d0.Index, both())
	if raised(t, b, before)[epochAll] == 0 || b.Approval() == approval {
		t.Error("what was learnt of the old device still holds")
	}
}

// A device that goes to another namespace has no program of this host's there.
func TestDeviceMovesAway(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	away := &lab{t: t, ns: newNS(t)}
	l.ip("link set d0 netns %s", away.ns.Name())
	if got, err := b.Attached(); err != nil || len(got) != 0 {
		t.Errorf("attached to a device that is gone: %+v, %v", got, err)
	}
	away.want("there", b, away.index("d0"), map[string][]string{})
	if err := b.SetDevices([]Device{d0}); err == nil || !strings.Contains(err.Error(), "d0") {
		t.Errorf("error %v", err)
	}
	away.ip("link set d0 netns %s", l.ns.Name())
	l.set(b, l.port("d0", 1))
	l.want("back", b, l.index("d0"), both())
}

// Only what changes makes flows be seen and approved again.
func TestDevicesThatChange(t *testing.T) {
	l := newLab(t, 2)
	b := l.open()
	d0, d1 := l.port("d0", 1), l.nic("d1")
	for _, tt := range []struct {
		name    string
		change  func()
		devices func() []Device
		raises  bool
	}{
		{"first", func() {}, func() []Device { return []Device{d0, d1} }, true},
		{"the same", func() {}, func() []Device { return []Device{d1, d0} }, false},
		{"another name", func() { d0.Name = "x" }, func() []Device { return []Device{d1, d0} }, false},
		{"blocked", func() { d0.Blocked = true }, func() []Device { return []Device{d0, d1} }, true},
		{"peer", func() { d0.Peer = true }, func() []Device { return []Device{d0, d1} }, true},
		{"another peer", func() { d0.PeerIndex = 3 }, func() []Device { return []Device{d0, d1} }, true},
		{"another tenant's", func() { d0.Slot = 2 }, func() []Device { return []Device{d0, d1} }, true},
		{"gone", func() {}, func() []Device { return []Device{d0} }, true},
		{"still gone", func() {}, func() []Device { return []Device{d0} }, false},
	} {
		tt.change()
		before, approval := numbers(t, b), b.Approval()
		l.set(b, tt.devices()...)
		if got := raised(t, b, before)[epochAll] != 0; got != tt.raises {
			t.Errorf("%s: epoch raised: %t", tt.name, got)
		}
		if got := b.Approval() != approval; got != tt.raises {
			t.Errorf("%s: approval raised: %t", tt.name, got)
		}
	}
}

// One device that fails does not keep others from having the programs.
func TestOneDeviceFails(t *testing.T) {
	l := newLab(t, 2)
	b := l.open()
	d0, d1 := l.port("d0", 1), l.nic("d1")
	missing := Device{Index: 9999, Name: "missing"}
	l.set(b, d0)
	err := b.SetDevices([]Device{missing, d1})
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v", err)
	}
	l.want("the other", b, d1.Index, both())
	l.want("what is not listed", b, d0.Index, map[string][]string{})
	known, err := b.readDevices()
	if _, ok := known[d1.Index]; err != nil || !ok || len(known) != 1 {
		t.Errorf("known: %v, %v", known, err)
	}
}

func TestInvalidDevices(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	for _, list := range [][]Device{
		{{Index: 0}},
		{{Index: -1}},
		{d0, d0},
		{{Index: 1, Port: true}},
		{{Index: 1, Port: true, Slot: MaxTenants}},
		{{Index: 1, Slot: 1}},
		{{Index: 1, Port: true, Slot: 1, Tunnel: true}},
		make([]Device, MaxDevices+1),
	} {
		if err := b.SetDevices(list); err == nil {
			t.Errorf("%d devices are taken: %+v", len(list), list[:1])
		}
	}
	l.want("afterwards", b, d0.Index, both())
}
