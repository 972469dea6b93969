// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
	"github.com/dwelltrace/dwell/internal/netns"
)

// SetDevices says which devices have the programs. What is not listed loses them, after what is
// new has them; then what other versions have pinned is removed.
//
// If a device is not as it was, everybody's flows have to be seen by the kernel and be approved again: the
// number of approvals that counts afterwards is that of [Bypass.Approval].
//
// A device at which it fails is as if it were not listed. The others are set all the same.
func (b *Bypass) SetDevices(list []Device) error {
	b.change.Lock()
	defer b.change.Unlock()
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	if err := checkDevices(list); err != nil {
		return fmt.Errorf("set the fast path's devices: %w", err)
	}
	b.devices = slices.Clone(list)
	if err := netns.In(b.opts.NetNS, func() error { return b.setDevices(list) }); err != nil {
		return fmt.Errorf("set the fast path's devices: %w", explain(err))
	}
	return nil
}

func checkDevices(list []Device) error {
	if len(list) > MaxDevices {
		return fmt.Errorf("%w: there are %d devices, and can be %d", ErrFull, len(list), MaxDevices)
	}
	used := map[int]bool{}
	for _, d := range list {
		switch {
		case d.Index <= 0:
			return fmt.Errorf("%s: %d is not a valid index", d.Name, d.Index)
		case used[d.Index]:
			return fmt.Errorf("%s: index %d is given twice", d.Name, d.Index)
		case d.Port && !isSlot(d.Slot):
			return fmt.Errorf("%s: slot %d is not a valid one: it must be from 1 to %d", d.Name, d.Slot, MaxTenants-1)
		case d.Port && d.Tunnel:
			return fmt.Errorf("%s: it is not valid as both a port and a tunnel", d.Name)
		case !d.Port && d.Slot != 0:
			return fmt.Errorf("%s: it is not a port, and so has no slot", d.Name)
		}
		used[d.Index] = true
	}
	return nil
}

func (b *Bypass) setDevices(list []Device) error {
	before, err := b.readDevices()
	if err != nil {
		return err
	}
	// First of all, so that what has become blocked is so at once.
	changed, err := b.know(list, before)
	if changed {
		b.doubt()
	}
	if err != nil {
		return err
	}
	wanted := map[int]bool{}
	var errs []error
	changed = false
	for _, d := range list {
		anew, err := b.attachAll(&d)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.Name, err))
			continue
		}
		changed = changed || anew
		wanted[d.Index] = true
	}
	vanished, err := b.forgetOthers(wanted)
	if err != nil {
		errs = append(errs, err)
	}
	if changed || vanished {
		b.doubt()
	}
	if len(errs) == 0 {
		errs = append(errs, b.removeOthers())
	}
	return errors.Join(errs...)
}

// doubt makes everything that was learnt be seen and approved again.
func (b *Bypass) doubt() {
	b.Changed()
	b.NewApproval()
}

// know tells the programs of devices, and reports whether any is not as before.
func (b *Bypass) know(list []Device, before map[int]plainDevice) (changed bool, err error) {
	for i := range list {
		next := list[i].entry()
		if before[list[i].Index] == next {
			continue
		}
		if err := b.maps[plainMapDevices].Put(uint32(list[i].Index), next); err != nil {
			return changed, fmt.Errorf("%s: %w", list[i].Name, err)
		}
		changed = true
	}
	return changed, nil
}

// entry returns what the programs know of a device.
func (d *Device) entry() plainDevice {
	e := plainDevice{Role: uint16(plainDeviceRoleDEVICE_NIC), Slot: d.Slot, PeerNetns: d.PeerNetNS, Peer: uint32(d.PeerIndex), Master: uint32(d.Master)}
	switch {
	case d.Port:
		e.Role = uint16(plainDeviceRoleDEVICE_PORT)
	case d.Tunnel:
		e.Role = uint16(plainDeviceRoleDEVICE_TUNNEL)
	}
	if d.Blocked {
		e.Flags |= uint32(plainDeviceFlagDEVICE_BLOCKED)
	}
	if d.Peer {
		e.Flags |= uint32(plainDeviceFlagDEVICE_PEER)
	}
	return e
}

// device returns what the programs know, in words.
func (e *plainDevice) device(index int) Device {
	return Device{
		Index: index, Slot: e.Slot,
		Port: e.Role == uint16(plainDeviceRoleDEVICE_PORT), Tunnel: e.Role == uint16(plainDeviceRoleDEVICE_TUNNEL),
		Blocked: e.Flags&uint32(plainDeviceFlagDEVICE_BLOCKED) != 0, Peer: e.Flags&uint32(plainDeviceFlagDEVICE_PEER) != 0,
		PeerNetNS: e.PeerNetns, PeerIndex: int(e.Peer),
	}
}

// attachAll attaches to a device the programs that it has to have, and reports whether any was not there yet.
func (b *Bypass) attachAll(d *Device) (anew bool, err error) {
	for _, h := range hooks() {
		if !d.has(h) {
			if err := b.detachOne(h, d.Index); err != nil {
				return anew, err
			}
			continue
		}
		did, err := b.attach(h, d.Index)
		if err != nil {
			return anew, err
		}
		anew = anew || did
	}
	return anew, nil
}

// has reports whether a device has a program at that place.
func (d *Device) has(h hook) bool { return !d.Tunnel || h.at == ebpf.AttachTCXEgress }

// forgetOthers detaches the programs from devices that are not wanted, and reports whether there were any.
func (b *Bypass) forgetOthers(wanted map[int]bool) (vanished bool, err error) {
	known, err := b.readDevices()
	if err != nil {
		return false, err
	}
	var errs []error
	for index := range known {
		if wanted[index] {
			continue
		}
		vanished = true
		// Nothing is learnt any more of what goes there.
		if err := b.maps[plainMapDevices].Delete(uint32(index)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, err)
		}
	}
	names, err := b.links()
	if err != nil {
		return vanished, errors.Join(append(errs, err)...)
	}
	for _, name := range names {
		if _, index, ok := parseLink(name); !ok || !wanted[index] {
			errs = append(errs, removeLink(b.path(name)))
		}
	}
	return vanished, errors.Join(errs...)
}

// readDevices returns what the programs know of devices, by index.
func (b *Bypass) readDevices() (map[int]plainDevice, error) {
	known := map[int]plainDevice{}
	var index uint32
	var e plainDevice
	all := b.maps[plainMapDevices].Iterate()
	for all.Next(&index, &e) {
		known[int(index)] = e
	}
	return known, all.Err()
}

// Attached returns the devices that have the programs, in order of index.
func (b *Bypass) Attached() ([]AttachedDevice, error) {
	b.change.Lock()
	defer b.change.Unlock()
	release, err := b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	var all []AttachedDevice
	err = netns.In(b.opts.NetNS, func() (err error) {
		all, err = b.listAttached()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the fast path's devices: %w", err)
	}
	return all, nil
}

func (b *Bypass) listAttached() ([]AttachedDevice, error) {
	known, err := b.readDevices()
	if err != nil {
		return nil, err
	}
	var all []AttachedDevice
	for index, e := range known {
		d := AttachedDevice{Device: e.device(index)}
		for _, h := range hooks() {
			id, err := b.attached(h, index)
			if err != nil {
				return nil, err
			}
			switch {
			case id == 0:
			case h.at == ebpf.AttachTCXIngress:
				d.Ingress = true
			default:
				d.Egress = true
			}
		}
		if d.Ingress || d.Egress {
			d.Name = nameOf(index)
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(x, y AttachedDevice) int { return x.Index - y.Index })
	return all, nil
}

// nameOf returns the present name of a device of this namespace, or "".
func nameOf(index int) string {
	dev, err := net.InterfaceByIndex(index)
	if err != nil {
		return "" // gone meanwhile
	}
	return dev.Name
}

// isFull reports whether a map had no room.
func isFull(err error) bool { return errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) }

// removeLink takes a pinned link from its device, and unpins it.
func removeLink(path string) error {
	l, err := loadLink(path)
	if err != nil {
		return err
	}
	if l == nil {
		return pinned.Remove(path)
	}
	return errors.Join(detach(l), l.Close(), pinned.Remove(path))
}
