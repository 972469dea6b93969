// SPDX-License-Identifier: Apache-2.0

package changes_test

import (
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/changes"
)

// spoof sends frames from a guest's device, each with another source MAC from one number to another.
func (w *world) spoof(device string, from, to int) {
	w.t.Helper()
	index := w.index(device)
	err := w.ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		frame := make([]byte, 60)
		copy(frame, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 1})
		copy(frame[12:], []byte{0x88, 0xb5}) // for experiments
		for n := from; n < to; n++ {
			frame[9], frame[10], frame[11] = byte(n>>16), byte(n>>8), byte(n)
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// A guest that makes up MACs, or takes those of another guest of its bridge, is reported of its
// own ports at most.
func TestSpoofing(t *testing.T) {
	const many = 20000
	w := watch(t, hypervisor)
	w.spoof("g0", 0, many)
	w.quiet("true")
	w.spoof("g1", many-1, many)
	p0, p1 := w.index("p0"), w.index("p1")
	w.await("a MAC that moves", func(c changes.Change) bool {
		return c.Kind == changes.Some && len(c.Devices) == 2 && c.Devices[0] == min(p0, p1) && c.Devices[1] == max(p0, p1)
	})
	w.quiet("true")
}

// That a bridge forgets a MAC from which nothing has come for a long time concerns no flow, but
// if the port is not sent what is for unknown MACs.
func TestAgeing(t *testing.T) {
	const gone = "\nwhile bridge fdb show dev p0 | grep -q ^02:00:00:00:00:50; do :; done"
	const learn = "bridge fdb replace 02:00:00:00:00:50 dev p0 master dynamic"
	w := watch(t, hypervisor+"ip link set br0 type bridge forward_delay 200 ageing_time 20")
	w.quiet(learn + gone)
	w.expect("bridge link set dev p0 flood off", changes.Some|changes.Devices, "p0")
	run(t, w.ns, learn+gone)
	w.await("forgotten", func(c changes.Change) bool {
		return c.Kind == changes.Some && c.What == "MAC 02:00:00:00:00:50 is not behind p0 any more"
	})
}

// Programs that are attached by BPF's own links are noticed, and so are those of the guest at its end.
func TestPrograms(t *testing.T) {
	w := watch(t, hypervisor)
	load := func(kind ebpf.ProgramType, result int64) *ebpf.Program {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: kind, License: "Apache-2.0",
			Instructions: asm.Instructions{asm.LoadImm(asm.R0, result, asm.DWord), asm.Return()},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	tc, xdp := load(ebpf.SchedCLS, -1), load(ebpf.XDP, 2)
	attach := func(at func() (link.Link, error)) link.Link {
		var l link.Link
		err := w.ns.Do(func() (err error) {
			l, err = at()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	noticed := func(what, device string) {
		index := w.index(device)
		w.await(what, func(c changes.Change) bool {
			return c.Kind.Has(changes.Some|changes.Devices) && len(c.Devices) == 1 && c.Devices[0] == index
		})
	}
	l := attach(func() (link.Link, error) {
		return link.AttachTCX(link.TCXOptions{Interface: w.index("p0"), Program: tc, Attach: ebpf.AttachTCXIngress})
	})
	noticed("a program at TCX", "p0")
	l.Close()
	noticed("no program at TCX", "p0")
	l = attach(func() (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Interface: w.index("br0"), Program: xdp})
	})
	noticed("a program at XDP", "br0")
	l.Close()
	noticed("no program at XDP", "br0")
	l = attach(func() (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Interface: w.index("g0"), Program: xdp})
	})
	noticed("a program of the guest", "p0")
	l.Close()
	noticed("no program of the guest", "p0")
}

// The watch says how it watches, and for how long.
func TestHow(t *testing.T) {
	w := &world{t: t, ns: space(t), got: make(chan changes.Change, 1<<10)}
	first := w.begin()
	if !strings.HasPrefix(first.What, "the watch began, by a thread ") {
		t.Errorf("it says %q", first.What)
	}
}
