// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/vishvananda/netlink"
)

// device is what is known of one device.
type device struct {
	name  string
	other []string // alternative names
	index int
	mac   [6]byte
	// kind is the kernel's word for it; "device" is hardware.
	kind string
	// master is the index of the device to which it is enslaved, or 0.
	master int
	// below is the index of the device in this namespace on top of which it is, or 0. For
	// one end of a pair it is the other end, which is not below.
	below int
	// tagged is set for a bridge that knows VLANs.
	tagged   bool
	loopback bool
	// frames is set if what arrives has an Ethernet header, so that a program for ports can read it.
	frames bool
}

// Kinds of devices.
const (
	kindBridge   = "bridge"
	kindHardware = "device"
	kindVeth     = "veth"
	kindTap      = "tuntap"
	kindOVS      = "openvswitch"
)

func deviceOf(l netlink.Link) device {
	a := l.Attrs()
	d := device{
		name: a.Name, other: a.AltNames, index: a.Index, kind: l.Type(), master: a.MasterIndex,
		loopback: a.EncapType == "loopback", frames: a.EncapType == "ether",
	}
	copy(d.mac[:], a.HardwareAddr)
	if d.kind != kindVeth && a.NetNsID < 0 { // otherwise it is on top of another namespace's
		d.below = a.ParentIndex
	}
	if b, ok := l.(*netlink.Bridge); ok && b.VlanFiltering != nil {
		d.tagged = *b.VlanFiltering
	}
	return d
}

// names are the device's name and its alternative names.
func (d *device) names() []string { return append([]string{d.name}, d.other...) }

// port reports whether it is the end of a guest's link to which programs can be attached.
func (d *device) port() bool { return d.frames && (d.kind == kindVeth || d.kind == kindTap) }

// bypasses reports whether packets of a guest behind the device never pass the host's
// netfilter.
func (d *device) bypasses() bool { return d.kind == "macvtap" || d.kind == "ipvtap" }
