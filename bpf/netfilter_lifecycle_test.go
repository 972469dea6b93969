// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// netfilterLinks returns how many links of the kernel's are to programs of ours.
func netfilterLinks(t *testing.T, programs map[ebpf.ProgramID]bool) (n int) {
	t.Helper()
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Netfilter() != nil && programs[info.Program] {
			n++
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func (r *recorder) netfilterPrograms() map[ebpf.ProgramID]bool {
	r.t.Helper()
	ids := map[ebpf.ProgramID]bool{}
	for _, p := range []*ebpf.Program{r.tracer.netfilter.programs.NetfilterFirst, r.tracer.netfilter.programs.NetfilterLast} {
		info, err := p.Info()
		if err != nil {
			r.t.Fatal(err)
		}
		id, _ := info.ID()
		ids[id] = true
	}
	return ids
}

// perSpace: both sides, both families, five hooks.
const perSpace = 2 * 2 * 5

func TestNetfilterLifecycle(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, a, b)
	r.netfilter(a, b)
	programs := r.netfilterPrograms()
	expect := func(what string, want int) {
		t.Helper()
		if got := netfilterLinks(t, programs); got != want {
			t.Errorf("%s: %d links, want %d", what, got, want)
		}
	}
	expect("two namespaces", 2*perSpace)
	if err := r.tracer.AttachNetfilter(a.enter); err == nil {
		t.Error("attaching twice did not fail")
	}
	failed := errors.New("cannot return")
	if err := r.tracer.DetachNetfilter(a.inode); err != nil {
		t.Error(err)
	}
	for what, enter := range map[string]func(func() error) error{
		"enter fails afterwards": func(f func() error) error { return errors.Join(a.enter(f), failed) },
		"enter does nothing":     func(func() error) error { return nil },
	} {
		if err := r.tracer.AttachNetfilter(enter); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	expect("after DetachNetfilter and failures", perSpace)
	if err := r.tracer.DetachNetfilter(a.inode); err != nil {
		t.Errorf("detach where nothing is attached: %v", err)
	}
	r.netfilter(a)
	if err := r.tracer.Detach(); err != nil {
		t.Error(err)
	}
	expect("after Detach", 0)
	r.netfilter(a, b)
	if err := r.tracer.Close(); err != nil {
		t.Error(err)
	}
	expect("after Close", 0)
	if err := r.tracer.AttachNetfilter(a.enter); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := r.tracer.DetachNetfilter(a.inode); err != nil {
		t.Errorf("after Close: %v", err)
	}
	for id := range programs {
		// The kernel lets go of a link's program after an RCU grace period.
		eventually(t, "program gone", func() bool {
			p, err := ebpf.NewProgramFromID(id)
			if err == nil {
				err = p.Close()
			}
			return errors.Is(err, unix.ENOENT)
		})
	}
}

// eventually looks until the kernel has done what it does on its own time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	look, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// TestNetfilterBeforeAttach: nothing is recorded before the tracepoints are attached
// and after they are not.
func TestNetfilterBeforeAttach(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{}, b)
	if err := r.tracer.Detach(); err != nil {
		t.Fatal(err)
	}
	r.netfilter(b)
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{b.inode}}); err != nil {
		t.Fatal(err)
	}
	p := a.pinger(false)
	for i := range 2 {
		p.ping("192.0.2.2", i, []byte("not seen"))
		if err := r.tracer.Attach(); err != nil {
			t.Fatal(err)
		}
		p.ping("192.0.2.2", i, []byte("seen"))
		events := r.until(seen(event.NetDevXmit, i+1))
		netfilter := count(events, func(e *event.Event) bool { return e.Hook.Info().Class == event.NetfilterProgram })
		if want := 8; netfilter != want {
			t.Errorf("%d: %d netfilter events, want %d", i, netfilter, want)
		}
		if err := r.tracer.Detach(); err != nil {
			t.Fatal(err)
		}
		// Detach has detached from netfilter: the second round sees none of it.
		if i == 0 && len(r.tracer.netfilter.spaces) != 0 {
			t.Error("still attached to netfilter")
		}
	}
}

// TestNetfilterTwice: two tracers in one namespace, although the kernel lets no two
// programs have the same priority.
func TestNetfilterTwice(t *testing.T) {
	a, b := twoHosts(t)
	one, two := record(t, Options{}, b), record(t, Options{}, b)
	one.netfilter(b)
	two.netfilter(b)
	a.pinger(false).ping("192.0.2.2", 1, []byte("seen by both"))
	for _, r := range []*recorder{one, two} {
		if got := r.hooks(r.until(seen(event.NetDevXmit, 1))); got != answered {
			t.Errorf("events:\n%s", got)
		}
	}
}

// TestReleaseNetfilter leaves a namespace to its links. They alone keep it, and with it
// the other end of its veth pair, until they are released.
func TestReleaseNetfilter(t *testing.T) {
	privileged(t)
	a := newNamespace(t, "a")
	r := record(t, Options{}, a)
	left := &namespace{t: t, name: "left", ns: unnamedNamespace(t)}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "a0"
	a.add(&netlink.Veth{LinkAttrs: attrs, PeerName: "l0", PeerNamespace: netlink.NsFd(int(left.ns))})
	r.netfilter(left)
	var socket int
	left.do(func() {
		var err error
		socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		left.must("socket", err)
	})
	release := func(what string, want int) {
		t.Helper()
		if n, err := r.tracer.ReleaseNetfilter(); n != want || err != nil {
			t.Errorf("%s: released %d, %v; want %d", what, n, err, want)
		}
	}
	release("with a descriptor and a socket", 0)
	left.must("close", left.ns.Close())
	release("with a socket", 0)
	left.must("close", unix.Close(socket))
	for _, s := range r.tracer.netfilter.spaces {
		if refs, err := r.tracer.netfilter.references(s.net); refs.Count != perSpace || refs.Links != perSpace || err != nil {
			t.Errorf("%d references, %d links, %v; want those of our %d links", refs.Count, refs.Links, err, perSpace)
		}
	}
	release("left", 1)
	release("released", 0)
	eventually(t, "namespace gone", func() bool {
		var gone netlink.LinkNotFoundError
		_, err := a.nl.LinkByName("a0")
		return errors.As(err, &gone)
	})
}

// TestReleaseNetfilterByTwo: two tracers do not keep a namespace for each other, whichever
// is asked first, and neither leaves one that somebody is in.
func TestReleaseNetfilterByTwo(t *testing.T) {
	privileged(t)
	a := newNamespace(t, "a")
	one, two := record(t, Options{}, a), record(t, Options{}, a)
	left := &namespace{t: t, name: "left", ns: unnamedNamespace(t)}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "a0"
	a.add(&netlink.Veth{LinkAttrs: attrs, PeerName: "l0", PeerNamespace: netlink.NsFd(int(left.ns))})
	one.netfilter(left)
	two.netfilter(left)
	release := func(what string, want int) {
		t.Helper()
		for i, r := range []*recorder{one, two} {
			if n, err := r.tracer.ReleaseNetfilter(); n != want || err != nil {
				t.Errorf("%s: tracer %d released %d, %v; want %d", what, i, n, err, want)
			}
		}
	}
	release("in use", 0)
	left.must("close", left.ns.Close())
	release("left", 1)
	eventually(t, "namespace gone", func() bool {
		var gone netlink.LinkNotFoundError
		_, err := a.nl.LinkByName("a0")
		return errors.As(err, &gone)
	})
}

// TestReleaseWhileOthersComeAndGo: however links of others are made and closed while it is
// counted, a namespace that somebody is in is kept.
func TestReleaseWhileOthersComeAndGo(t *testing.T) {
	a, b := twoHosts(t)
	r, other := record(t, Options{}, a, b), record(t, Options{}, b)
	r.netfilter(b)
	other.netfilter(b) // loads the programs
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			err := errors.Join(other.tracer.DetachNetfilter(b.inode), other.tracer.AttachNetfilter(b.enter))
			select {
			case <-stop:
				done <- err
				return
			default:
				if err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for i := range 5000 {
		if n, err := r.tracer.ReleaseNetfilter(); n != 0 || err != nil {
			t.Errorf("%d: released %d, %v", i, n, err)
			break
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// unnamedNamespace makes a namespace that only the descriptor keeps.
func unnamedNamespace(t *testing.T) (ns netns.NsHandle) {
	t.Helper()
	onThread(t, netns.None(), func() {
		var err error
		if ns, err = netns.New(); err != nil {
			t.Fatal(err)
		}
	})
	return ns
}
