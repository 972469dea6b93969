// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Names is what is known of devices and of the kernel's drop reasons. It answers at once,
// for numbers that it has never seen, too.
type Names interface {
	Device(netns, ifindex uint32) *trace.Device
	// DropReason names a value of enum skb_drop_reason, without its prefix.
	DropReason(code uint32) string
}

// tunnels are the types of device that put a packet into another one, by the kernel's
// names (IFLA_INFO_KIND); the value is set if they encrypt it.
var tunnels = map[string]bool{
	"vxlan": false, "geneve": false, "bareudp": false, "gtp": false, "gre": false, "gretap": false, "erspan": false,
	"ip6gre": false, "ip6gretap": false, "ip6erspan": false, "ipip": false, "sit": false, "ip6tnl": false,
	"wireguard": true, "xfrm": true, "vti": true, "vti6": true, "ovpn": true, "macsec": true,
}

// movers are the types of device whose driver, or what is attached to it, may hand a packet
// to a device that is neither its peer nor stacked on it: ifb gives back what was redirected
// to it, and a BPF program at the other end of a pair may send it anywhere.
var movers = map[string]bool{"ifb": true, "veth": true, "netkit": true}

// beyond are the types of device behind which is what this host does not see: a
// virtual machine, or a program. A physical device has no type.
var beyond = map[string]bool{"": true, "tun": true, "macvtap": true, "ipvtap": true}

func (f *Follower) device(ev *event.Event) *trace.Device {
	return f.names.Device(ev.NetNS, ev.IfIndex)
}

// tunnel reports whether the device on which ev was seen is that of a tunnel, and
// whether it encrypts.
func (f *Follower) tunnel(ev *event.Event) (is, encrypts bool) {
	encrypts, is = tunnels[f.device(ev).Type]
	return is, encrypts
}

// LeadsAway reports whether what is given to the device on which ev was seen leaves this
// host's sight: it is a physical device, or a virtual machine's.
func (f *Follower) LeadsAway(ev *event.Event) bool {
	return ev.IfIndex != 0 && !ev.Flags.Has(event.Bridge) && !ev.Flags.Has(event.Loopback) && beyond[f.device(ev).Type]
}

// Guest reports whether the device on which ev was seen is one of a virtual machine that
// is stacked on another device (macvtap), so that what comes in for it there is gone.
func (f *Follower) Guest(ev *event.Event) bool {
	t := f.device(ev).Type
	return t == "macvtap" || t == "ipvtap"
}

// Stacked reports whether one of two devices is stacked on the other, or both on one
// third.
func (f *Follower) Stacked(a, b *event.Event) bool {
	if a.IfIndex == 0 || b.IfIndex == 0 {
		return false
	}
	over, under := f.device(a).Lower, f.device(b).Lower
	if over != (trace.Place{}) && over == under {
		return true
	}
	return over == place(b) || under == place(a)
}
