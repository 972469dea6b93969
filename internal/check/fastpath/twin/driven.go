// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// Slots of the tenants.
const (
	redSlot  = 1
	blueSlot = 2
)

const (
	beatEvery = 500 * time.Millisecond
	capacity  = 8192
	// briefLease makes that flows are believed again and again within a case.
	briefLease, longLease = 20 * time.Millisecond, 10 * time.Second
	sweepEvery            = 2 // batches
)

// Driven is the fast path's programs alone, with every flow approved.
type Driven struct {
	programs *bypass.Bypass
	liberal  *liberal.Conn
	network  *Network
	pin      string
	stop     context.CancelFunc
	done     sync.WaitGroup
	cases    int
	batches  int

	mu       sync.Mutex // for what follows
	err      error
	approved int
}

// NewDriven puts the programs at the devices of the network. They are pinned in a directory below dir.
func NewDriven(n *Network, dir string) (d *Driven, err error) {
	d = &Driven{network: n, pin: filepath.Join(dir, "bpf"), stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("the fast path: %w", err), d.Close())
		}
	}()
	if d.programs, err = bypass.Open(bypass.Options{Pin: d.pin, NetNS: n.Hypervisor, Flows: 4 * capacity}); err != nil {
		return d, err
	}
	if d.liberal, err = liberal.Open(n.Hypervisor); err != nil {
		return d, err
	}
	if err := d.prepare(); err != nil {
		return d, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.done.Go(func() { d.beat(ctx) })
	d.done.Go(func() {
		if err := d.programs.Candidates(ctx, d.approve); ctx.Err() == nil {
			d.fail(err)
		}
	})
	return d, nil
}

// prepare attaches the programs for both tenants.
func (d *Driven) prepare() error {
	var devices []bypass.Device
	for i := range ports {
		link, err := d.network.nl.LinkByName(ports[i].name)
		if err != nil {
			return err
		}
		device := bypass.Device{Index: link.Attrs().Index, Name: ports[i].name, Port: i != Outside, Slot: redSlot, Master: link.Attrs().MasterIndex}
		switch i {
		case Blue:
			device.Slot = blueSlot
		case Outside:
			device.Slot = 0
		}
		if d.network.Spec.Peer && device.Port {
			device.Peer, device.PeerNetNS, device.PeerIndex = true, d.network.wires.Inode(), link.Attrs().ParentIndex
		}
		devices = append(devices, device)
	}
	var tunnels uint16
	if d.network.Spec.Overlay != Plain {
		tunnels = frame.VXLANPort
		link, err := d.network.nl.LinkByName(tunnel)
		if err != nil {
			return err
		}
		devices = append(devices, bypass.Device{Index: link.Attrs().Index, Name: tunnel, Tunnel: true})
	}
	return errors.Join(
		d.programs.SetTenants([]bypass.Tenant{
			{Slot: redSlot, Number: 1, Mode: flow.On, Capacity: capacity}, {Slot: blueSlot, Number: 2, Mode: flow.On, Capacity: capacity},
		}),
		d.programs.SetTunnels(tunnels), d.programs.SetDevices(devices), d.programs.Beat(),
	)
}

func (d *Driven) fail(err error) {
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.err = errors.Join(d.err, err)
	}
}

func (d *Driven) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *Driven) beat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.fail(d.programs.Beat())
		}
	}
}

// approve approves both directions of a flow.
func (d *Driven) approve(c bypass.Candidate) {
	number := d.programs.Approval()
	forth, back, err := d.programs.Look(c)
	if err == nil && forth.Key.Proto == unix.IPPROTO_TCP && forth.Tracked {
		original := forth
		if forth.Reply {
			original = back
		}
		err = d.liberal.Set(original.Key.Tuple, 0)
	}
	if err == nil {
		err = d.programs.Approve(forth, back, number)
	}
	if errors.Is(err, bypass.ErrGone) || errors.Is(err, liberal.ErrGone) || errors.Is(err, bypass.ErrNotLiberal) {
		return // it is asked for again if it comes back
	}
	d.fail(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.approved++
}

// Begin implements [Subject].
func (d *Driven) Begin() error {
	d.cases++
	lease := longLease
	if d.cases%3 == 0 {
		lease = briefLease
	}
	_, err := d.programs.Flush(0)
	return errors.Join(err, d.programs.SetLease(lease), d.failure())
}

// Settled implements [Subject].
func (d *Driven) Settled() error {
	d.batches++
	if d.batches%sweepEvery != 0 {
		return d.failure()
	}
	_, err := d.programs.Sweep(context.Background(), time.Hour)
	return errors.Join(err, d.failure())
}

// Counts returns what became of all packets so far.
func (d *Driven) Counts() (Counts, error) {
	c := Counts{Slow: map[flow.Reason]uint64{}, Unlearnt: map[flow.Reason]uint64{}}
	all, err := d.programs.Counts()
	if err != nil {
		return c, err
	}
	for i := range all {
		c.add(&all[i])
	}
	return c, nil
}

// Close implements [Subject].
func (d *Driven) Close() error {
	d.stop()
	d.done.Wait()
	errs := []error{d.failure()}
	if d.programs != nil {
		errs = append(errs, d.programs.Close())
	}
	if d.liberal != nil {
		errs = append(errs, d.liberal.Close())
	}
	errs = append(errs, bypass.Remove(d.pin, d.network.Hypervisor))
	if err := unix.Unmount(d.pin, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
