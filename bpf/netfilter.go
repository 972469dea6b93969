// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Netfilter's first and last priorities are refused by the kernel. The next may be
// taken, as it lets no two programs have one priority: by another dwell.
const (
	firstPriority = math.MinInt32 + 1
	lastPriority  = math.MaxInt32 - 1
	priorities    = 16
)

var netfilterFamilies = [...]link.NetfilterProtocolFamily{link.NetfilterProtoIPv4, link.NetfilterProtoIPv6}

// netfilter is what is loaded and attached for netfilter's hooks.
type netfilter struct {
	programs netfilterPrograms
	spaces   map[uint32]*netfilterSpace // by inode number
}

// netfilterSpace is a namespace whose hooks we are attached to.
type netfilterSpace struct {
	inode uint32
	net   uint64 // address of the kernel's struct net, valid while the links exist
	links []link.Link
}

// AttachNetfilter records also before the first and after the last chain of each
// netfilter hook of a namespace, for IPv4 and IPv6: event.NetfilterFirst and
// event.NetfilterLast. Verdicts are not changed. What conntrack does to confirm a
// connection comes after the last chain, and after us.
//
// It is called with a function that runs its argument on a thread that is in the
// namespace, without calling the Tracer, and returns its argument's error. Either
// all hooks of the namespace are attached or, with an error, none. It may be called
// before Attach, without which nothing is recorded, and lasts until Detach,
// DetachNetfilter or Close.
//
// Being attached keeps the namespace alive, with the devices in it, when all others
// have left it: see ReleaseNetfilter.
//
// It needs Linux 6.4 with CONFIG_NETFILTER_BPF_LINK, and CAP_NET_ADMIN; the errors
// are ErrNetfilter (an *UnsupportedError), ErrPermission or ErrVerifier where one of them
// is the cause.
func (t *Tracer) AttachNetfilter(enter func(func() error) error) error {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	t.mu.Lock()
	closed := t.closed // and stays so while netfilterMu is held
	t.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := t.attachNetfilter(enter); err != nil {
		return fmt.Errorf("attach to netfilter: %w", err)
	}
	return nil
}

func (t *Tracer) attachNetfilter(enter func(func() error) error) error {
	if err := t.loadNetfilter(); err != nil {
		return err
	}
	s := &netfilterSpace{}
	err := enter(func() error { return t.netfilter.attach(s) })
	if err == nil && len(s.links) == 0 {
		err = errors.New("the namespace was not entered")
	}
	if err != nil {
		return errors.Join(err, s.detach())
	}
	t.netfilter.spaces[s.inode] = s
	return nil
}

// loadNetfilter loads the programs when they are needed for the first time: older
// kernels do not have them, and not everybody may load them.
func (t *Tracer) loadNetfilter() error {
	if t.netfilter.spaces != nil {
		return nil
	}
	types := t.opts.types()
	kernel, err := kernelBTF(types)
	if err != nil {
		return err
	}
	if err := checkNetfilter(kernel, t.hooks); err != nil {
		return err
	}
	spec, err := t.opts.spec()
	if err != nil {
		return err
	}
	with := &ebpf.CollectionOptions{MapReplacements: t.objs.shared(), Cache: types}
	if err := spec.LoadAndAssign(&t.netfilter.programs, with); err != nil {
		return explainNetfilter(err)
	}
	t.netfilter.spaces = map[uint32]*netfilterSpace{}
	return nil
}

// attach attaches to all hooks of the namespace of this thread.
func (n *netfilter) attach(s *netfilterSpace) error {
	refs, err := n.references(0)
	if err != nil {
		return err
	}
	if n.spaces[refs.Inode] != nil {
		return errors.New("already attached in this namespace")
	}
	s.inode, s.net = refs.Inode, refs.Net
	// The last program first: no beginning without its end.
	for _, side := range []struct {
		program  *ebpf.Program
		priority int32
		step     int32
	}{{n.programs.NetfilterLast, lastPriority, -1}, {n.programs.NetfilterFirst, firstPriority, 1}} {
		for _, hook := range event.NetfilterHooks() {
			for _, family := range netfilterFamilies {
				l, err := attachHook(link.NetfilterOptions{
					Program: side.program, ProtocolFamily: family, Hook: link.NetfilterInetHook(hook), Priority: side.priority,
				}, side.step)
				if err != nil {
					return explainNetfilter(err)
				}
				s.links = append(s.links, l)
			}
		}
	}
	return nil
}

// attachHook attaches at the priority asked for or, where another program has it,
// at one of the next in the direction of step.
func attachHook(opts link.NetfilterOptions, step int32) (link.Link, error) {
	for range priorities - 1 {
		l, err := link.AttachNetfilter(opts)
		if !errors.Is(err, unix.EBUSY) {
			return l, err
		}
		opts.Priority += step
	}
	return link.AttachNetfilter(opts)
}

// detach closes in the reverse order.
func (s *netfilterSpace) detach() error {
	var errs []error
	for i := len(s.links) - 1; i >= 0; i-- {
		errs = append(errs, s.links[i].Close())
	}
	s.links = nil
	return errors.Join(errs...)
}

// DetachNetfilter ends what AttachNetfilter began in the namespace with an inode
// number. It does nothing if there is nothing to end.
func (t *Tracer) DetachNetfilter(netns uint32) error {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	return t.netfilter.detach(netns)
}

// NetfilterAttached returns the inode numbers of the namespaces that are attached to by
// AttachNetfilter, in order.
func (t *Tracer) NetfilterAttached() []uint32 {
	t.netfilterMu.Lock()
	defer t.netfilterMu.Unlock()
	return slices.Sorted(maps.Keys(t.netfilter.spaces))
}

func (n *netfilter) detach(inode uint32) error {
	s := n.spaces[inode]
	if s == nil {
		return nil
	}
	delete(n.spaces, inode)
	return s.detach()
}

func (n *netfilter) detachAll() error {
	var errs []error
	for inode := range n.spaces {
		errs = append(errs, n.detach(inode))
	}
	return errors.Join(errs...)
}
