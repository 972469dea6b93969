// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// Where the program stands among the filters of a device, on kernels without TCX. The name tells
// whether the filter there is ours.
const (
	filterPriority = 1
	filterHandle   = 0xd3e11
)

func (d *Datapath) filterName() string { return fmt.Sprintf("dwell-%08x", d.opts.Tenant) }

// qdiscPath is a directory that is there if we made the device's clsact.
func (d *Datapath) qdiscPath(index int) string { return d.Path("qdisc_" + strconv.Itoa(index)) }

func (d *Datapath) filter(index int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: filterHandle, Priority: filterPriority, Protocol: unix.ETH_P_ALL,
		},
		Fd: d.programs[plainProgIngress].FD(), Name: d.filterName(), DirectAction: true,
	}
}

func clsactOf(index int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// attachFilter puts the program in place of ours, or where it would be.
func (d *Datapath) attachFilter(index int) error {
	err := netlink.QdiscAdd(clsactOf(index))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact: %w", err)
	}
	if err == nil {
		// One that was left here is of a device that had the index before.
		if err := os.Mkdir(d.qdiscPath(index), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := netlink.FilterReplace(d.filter(index)); err != nil {
		return fmt.Errorf("add a filter of priority %d: if another program has it, it must have another: %w", filterPriority, err)
	}
	return nil
}

// ours returns our filter at a device, or nil, and how many filters there are in all.
func (d *Datapath) ours(index int) (*netlink.BpfFilter, int, error) {
	var found *netlink.BpfFilter
	all := 0
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}, parent)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) {
			return nil, 0, nil // no such qdisc, or device
		}
		if err != nil {
			return nil, 0, fmt.Errorf("list filters: %w", err)
		}
		for _, f := range filters {
			all++
			bpf, ok := f.(*netlink.BpfFilter)
			if ok && parent == netlink.HANDLE_MIN_INGRESS && bpf.Handle == filterHandle && bpf.Name == d.filterName() {
				found = bpf
			}
		}
	}
	return found, all, nil
}

func (d *Datapath) hasFilter(index int) (bool, error) {
	f, _, err := d.ours(index)
	return f != nil, err
}

// detachFilter removes our filter, and clsact with the last filter if we made it.
func (d *Datapath) detachFilter(index int) error {
	f, all, err := d.ours(index)
	if err != nil {
		return err
	}
	if f != nil {
		if err := netlink.FilterDel(d.filter(index)); err != nil {
			return fmt.Errorf("remove the filter: %w", err)
		}
		all--
	}
	if _, err := os.Stat(d.qdiscPath(index)); err != nil {
		return nil //nolint:nilerr // without it the clsact is another's
	}
	if f != nil && all == 0 {
		if err := netlink.QdiscDel(clsactOf(index)); err != nil {
			return fmt.Errorf("remove clsact: %w", err)
		}
	}
	return pinned.Remove(d.qdiscPath(index))
}

// renewFilters lets the filters that are ours run the program of this version.
func (d *Datapath) renewFilters() error {
	indices, err := d.indices()
	if err != nil {
		return err
	}
	return d.in(func() error {
		for _, index := range indices {
			f, _, err := d.ours(index)
			if err != nil {
				return err
			}
			if f == nil {
				continue
			}
			if err := netlink.FilterReplace(d.filter(index)); err != nil {
				return fmt.Errorf("renew the program at device %d: %w", index, err)
			}
		}
		return nil
	})
}
