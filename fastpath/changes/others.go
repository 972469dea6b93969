// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// others remembers what was announced last of addresses and settings, because the kernel also
// announces that an address has been renewed, or a setting written that was the same before.
type others map[subject]string

// subject is what is remembered.
type subject struct {
	device int
	// kind is the message's; what its address, or the family of its settings.
	kind uint16
	what string
}

const (
	addressSize = 8 // struct ifaddrmsg
	// netconfIndex is NETCONFA_IFINDEX.
	netconfIndex = 1
	netconfSize  = 1 // struct netconfmsg, without padding
)

// address notes an address.
func (o others) address(w *watcher, m message) {
	if len(m.body) < addressSize {
		w.misread()
		return
	}
	index, attrs := number32(m.body[4:]), m.body[addressSize:]
	local := attribute(attrs, unix.IFA_LOCAL)
	if local == nil {
		local = attribute(attrs, unix.IFA_ADDRESS)
	}
	k := subject{index, unix.RTM_NEWADDR, string(local) + string(m.body[1:2])}
	var value string // without what only tells the time
	for kind, data := range attributes(attrs) {
		if kind != unix.IFA_CACHEINFO {
			value += string(rune(kind)) + string(data)
		}
	}
	value += string(m.body[:4])
	was, known := o[k]
	if m.kind == unix.RTM_DELADDR {
		delete(o, k)
	} else {
		o[k] = value
	}
	if m.kind == unix.RTM_DELADDR || !known || was != value {
		addr, _ := netip.AddrFromSlice(local)
		w.news.add(All, nil, "address %v of %s has changed", addr, w.name(index))
	}
}

// setting notes settings of a family, for one device or for all.
func (o others) setting(w *watcher, m message) {
	if len(m.body) < netconfSize {
		w.misread()
		return
	}
	attrs := m.body[min(4, len(m.body)):]
	index := number32(attribute(attrs, netconfIndex))
	kind := All | Rules
	if _, known := w.links[index]; index > 0 && !known {
		kind = Devices // it is announced before the device itself: see [links.set]
	}
	for setting, data := range attributes(attrs) {
		if setting == netconfIndex || len(data) < 4 {
			continue
		}
		k := subject{index, unix.RTM_NEWNETCONF, string(rune(m.body[0])) + string(rune(setting))}
		value := string(data)
		if o[k] != value {
			w.news.add(kind, nil, "settings of %s have changed", w.settingsOf(index))
		}
		o[k] = value
	}
}

// settingsOf names what settings are of: negative numbers stand for all devices and new ones.
func (w *watcher) settingsOf(index int) string {
	switch index {
	case -1:
		return "all devices"
	case -2:
		return "new devices"
	}
	return w.name(index)
}

// drop forgets a device that is gone.
func (o others) drop(device int) {
	for k := range o {
		if k.device == device {
			delete(o, k)
		}
	}
}
