// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
)

// slot is the place of the one tenant.
const slot = 1

// beatEvery is how often user space says that it is there: thrice within the limit.
const beatEvery = time.Second

// accel is dwell's fast path on a hypervisor, of which every flow is approved.
type accel struct {
	bypass  *bypass.Bypass
	liberal *liberal.Conn
	lab     *lab
	pin     string
	devices []bypass.Device
	stop    context.CancelFunc
	done    sync.WaitGroup
	mu      sync.Mutex // guards failed
	failed  error
}

func newAccel(l *lab, dir string, flows int) (a *accel, err error) {
	a = &accel{lab: l, pin: filepath.Join(dir, "bpf"), stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("dwell's fast path: %w", err), a.close())
		}
	}()
	// Two entries a flow, and some room: a full table is slow.
	a.bypass, err = bypass.Open(bypass.Options{Pin: a.pin, NetNS: l.hypervisor, Flows: max(4*flows, bypass.DefaultFlows)})
	if err != nil {
		return a, err
	}
	if a.liberal, err = liberal.Open(l.hypervisor); err != nil {
		return a, err
	}
	devices := []bypass.Device{{Name: portDevice, Port: true, Slot: slot, Peer: true}, {Name: uplinkDevice}}
	if l.tunnelled {
		devices = append(devices, bypass.Device{Name: tunnelDevice, Tunnel: true})
	}
	for _, d := range devices {
		err := with(l.hypervisor, func(h *netlink.Handle) error {
			link, err := h.LinkByName(d.Name)
			if err != nil {
				return err
			}
			d.Index, d.Master = link.Attrs().Index, link.Attrs().MasterIndex
			if d.Port {
				d.PeerNetNS, d.PeerIndex = l.guest.Inode(), link.Attrs().ParentIndex
			}
			return nil
		})
		if err != nil {
			return a, err
		}
		a.devices = append(a.devices, d)
	}
	if err := a.bypass.SetTunnels(tunnelPort); err != nil {
		return a, err
	}
	if err := a.bypass.Beat(); err != nil {
		return a, err
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.done.Go(func() { a.beat(ctx) })
	a.done.Go(func() { a.approve(ctx) })
	return a, nil
}

func (a *accel) fail(err error) {
	if err == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = errors.Join(a.failed, err)
}

// err returns what went wrong in the background so far.
func (a *accel) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *accel) beat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.fail(a.bypass.Beat())
		}
	}
}

func (a *accel) approve(ctx context.Context) {
	err := a.bypass.Candidates(ctx, func(c bypass.Candidate) {
		approval := a.bypass.Approval()
		forth, back, err := a.bypass.Look(c)
		if err == nil && forth.Key.Proto == unix.IPPROTO_TCP && forth.Tracked {
			first := forth
			if first.Reply {
				first = back
			}
			err = a.liberal.Set(first.Key.Tuple, 0)
		}
		if err == nil {
			err = a.bypass.Approve(forth, back, approval)
		}
		if !errors.Is(err, bypass.ErrGone) && !errors.Is(err, liberal.ErrGone) {
			a.fail(err)
		}
	})
	if ctx.Err() == nil {
		a.fail(err)
	}
}

// enter has the programs attached, and does with packets what the mode says; nil: detached.
func (a *accel) enter(m *flow.Mode, capacity int) error {
	if m == nil {
		return a.bypass.SetDevices(nil)
	}
	return errors.Join(
		a.bypass.SetTenants([]bypass.Tenant{{Slot: slot, Number: slot, Mode: *m, Capacity: capacity}}),
		a.bypass.SetDevices(a.devices),
	)
}

// counted is what became of packets, of both directions.
type counted struct {
	fast, slow, differ uint64
	// why packets were slow, and taught are those of them that taught nothing, by why.
	why, taught map[flow.Reason]uint64
}

func (a *accel) counts() (c counted, err error) {
	all, err := a.bypass.Counts()
	if err != nil {
		return c, err
	}
	c.why, c.taught = map[flow.Reason]uint64{}, map[flow.Reason]uint64{}
	for _, one := range all {
		c.fast += one.Fast
		c.differ += one.Differ
		for why, n := range one.Slow {
			c.why[why] += n
			c.slow += n
		}
		for why, n := range one.Unlearnt {
			c.taught[why] += n
		}
	}
	return c, nil
}

func (c counted) since(before counted) counted {
	return counted{
		fast: c.fast - before.fast, slow: c.slow - before.slow, differ: c.differ - before.differ,
		why: more(before.why, c.why), taught: more(before.taught, c.taught),
	}
}

func more(before, now map[flow.Reason]uint64) map[flow.Reason]uint64 {
	grown := map[flow.Reason]uint64{}
	for why, n := range now {
		if n -= before[why]; n > 0 {
			grown[why] = n
		}
	}
	return grown
}

// String says why packets were slow, and why nothing was learnt from them.
func (c counted) String() string {
	return fmt.Sprintf("slow were %s; nothing was learnt from %s", frequent(c.why), frequent(c.taught))
}

// frequent lists reasons, the most frequent first.
func frequent(why map[flow.Reason]uint64) string {
	reasons := slices.SortedFunc(maps.Keys(why), func(x, y flow.Reason) int { return cmp.Compare(why[y], why[x]) })
	var texts []string
	for _, r := range reasons {
		texts = append(texts, fmt.Sprintf("%d (%s)", why[r], r))
	}
	return cmp.Or(strings.Join(texts, ", "), "none")
}

func (a *accel) close() error {
	a.stop()
	a.done.Wait()
	errs := []error{a.err()}
	if a.bypass != nil {
		errs = append(errs, a.bypass.Close())
	}
	if a.liberal != nil {
		errs = append(errs, a.liberal.Close())
	}
	errs = append(errs, bypass.Remove(a.pin, a.lab.hypervisor))
	if err := unix.Unmount(a.pin, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
