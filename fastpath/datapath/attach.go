// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// How a program is at a port.
const (
	byTCX    = "tcx"
	byClsact = "clsact"
)

// linkPrefix is what the names of pinned links begin with; the port's index follows.
const linkPrefix = "link_"

func (d *Datapath) linkPath(index int) string { return d.Path(linkPrefix + strconv.Itoa(index)) }

// in runs fn in the namespace of the ports.
func (d *Datapath) in(fn func() error) error {
	if d.opts.NetNS == nil {
		return fn()
	}
	return d.opts.NetNS.Do(fn)
}

// Attach puts the program at the port's TC ingress and returns how: "tcx" or "clsact".
// Attaching again renews what is known of the device.
func (d *Datapath) Attach(p scope.Port, dev scope.Device) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dev.MAC == [6]byte{} {
		return "", fmt.Errorf("attach the firewall's program to %s: %s is not an Ethernet device, whose packets only iptables can judge", p.Name, dev.Name)
	}
	if err := d.know(p, dev); err != nil {
		return "", fmt.Errorf("attach the firewall's program to %s: %w", p.Name, explain(err))
	}
	how, err := d.attach(p.Index)
	if err != nil {
		return "", fmt.Errorf("attach the firewall's program to %s: %w", p.Name, explain(err))
	}
	return how, nil
}

// know tells the program of a port. Until then it would not judge the port's packets.
func (d *Datapath) know(p scope.Port, dev scope.Device) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	err = d.maps[plainMapPortRuns].Update(uint32(p.Index), make([]plainPortCounts, cpus), ebpf.UpdateNoExist)
	if err == nil || errors.Is(err, ebpf.ErrKeyExist) {
		err = d.maps[plainMapPorts].Put(uint32(p.Index), plainPort{Mac: dev.MAC, Device: uint32(dev.Index)})
	}
	if isFull(err) {
		return fmt.Errorf("%w: a tenant can have %d; iptables judges its packets", ErrFull, d.maps[plainMapPorts].MaxEntries())
	}
	return err
}

func (d *Datapath) attach(index int) (string, error) {
	if d.clsact {
		return byClsact, d.in(func() error { return d.attachFilter(index) })
	}
	l, err := d.openLink(index)
	if err != nil {
		return "", err
	}
	if l != nil {
		return byTCX, l.Close()
	}
	err = d.in(func() error { return d.attachLink(index) })
	if errors.Is(err, ebpf.ErrNotSupported) {
		return byClsact, d.in(func() error { return d.attachFilter(index) })
	}
	return byTCX, err
}

// attachLink attaches before all others, so that what they do to a packet is not missed.
func (d *Datapath) attachLink(index int) error {
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: index, Program: d.programs[plainProgIngress], Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
	})
	if err != nil {
		return err
	}
	return errors.Join(l.Pin(d.linkPath(index)), l.Close())
}

// openLink opens the pinned link of a port, or returns nil if there is none. The pin of a link
// whose device is gone is removed.
func (d *Datapath) openLink(index int) (link.Link, error) {
	path := d.linkPath(index)
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := l.Info()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if tcx := info.TCX(); tcx == nil || int(tcx.Ifindex) != index {
		return nil, errors.Join(pinned.Remove(path), l.Close())
	}
	return l, nil
}

// how returns how the program is at a port, or "".
func (d *Datapath) how(index int) (string, error) {
	l, err := d.openLink(index)
	if err != nil {
		return "", err
	}
	if l != nil {
		return byTCX, l.Close()
	}
	found := false
	err = d.in(func() (err error) {
		found, err = d.hasFilter(index)
		return err
	})
	if err != nil || !found {
		return "", err
	}
	return byClsact, nil
}

// renewLinks lets what is attached already run the programs of this version, and removes pins
// of links whose devices are gone.
func (d *Datapath) renewLinks() error {
	names, err := filepath.Glob(d.Path(linkPrefix + "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		index, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(name), linkPrefix))
		if err != nil {
			continue
		}
		l, err := d.openLink(index)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		if err := errors.Join(l.Update(d.programs[plainProgIngress]), l.Close()); err != nil {
			return fmt.Errorf("renew the program at device %d: %w", index, err)
		}
	}
	return d.renewFilters()
}

// Detach takes the program from a port, and forgets what was counted there. It is no error if
// there is none.
func (d *Datapath) Detach(index int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.detach(index); err != nil {
		return fmt.Errorf("detach the firewall's program from device %d: %w", index, err)
	}
	return nil
}

func (d *Datapath) detach(index int) error {
	l, err := d.openLink(index)
	if err != nil {
		return err
	}
	if l != nil {
		err = errors.Join(os.Remove(d.linkPath(index)), l.Close())
	} else {
		err = d.in(func() error { return d.detachFilter(index) })
	}
	if err != nil {
		return err
	}
	return errors.Join(
		forget(d.maps[plainMapPortRuns], index),
		forget(d.maps[plainMapPorts], index),
	)
}

// forget deletes a port's entry, which need not be there.
func forget(m *ebpf.Map, index int) error {
	if err := m.Delete(uint32(index)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}
