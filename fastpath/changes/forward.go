// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// A bridge's table, or the one of a VXLAN device, says behind what each MAC is.
type place struct {
	// bridge is the index of the bridge, or of the VXLAN device.
	bridge int
	vlan   uint16
	mac    [6]byte
	vni    uint32
}

type behind struct {
	// port is the index of the bridge's port, or the VXLAN device.
	port int
	// local is set for MACs of the host itself.
	local bool
	// ext are flags, such as that the port's guest must authenticate first.
	ext uint32
	// remote is the other end of the tunnel, with its UDP port and device.
	remote string
	// gone is set once it was deleted: a MAC that comes back elsewhere has moved.
	gone bool
}

// Limits for each bridge, so that one that is flooded with MACs costs a bounded amount of memory.
// What is beyond is not remembered, so each message about it may be a change.
const (
	maxPlaces = 1 << 16
	maxGone   = 1 << 10
)

// forwarding mirrors the tables of bridges.
type forwarding struct {
	places map[place]behind
	// count is how many are remembered of each bridge, gone those that were deleted, oldest first.
	count map[int]int
	gone  map[int][]place
}

func newForwarding() *forwarding {
	return &forwarding{places: map[place]behind{}, count: map[int]int{}, gone: map[int][]place{}}
}

// Attributes and flags of neighbours that the library does not have.
const (
	ndaNextHop  = 13
	ndaFlagsExt = 15
	ndmSize     = 12
)

// entry is what a message says about a neighbour or an entry of a bridge's table.
type entry struct {
	family  byte
	device  int
	state   uint16
	flags   byte
	mac     []byte
	dst     []byte
	master  int
	vlan    uint16
	ext     uint32
	vni     uint32
	udp     uint16
	via     int
	updated int // how long ago, in hundredths of a second; -1 if it is not told
}

// parseEntry reads struct ndmsg and its attributes.
func parseEntry(b []byte) (e entry, ok bool) {
	if len(b) < ndmSize {
		return e, false
	}
	e = entry{family: b[0], device: number32(b[4:]), state: binary.NativeEndian.Uint16(b[8:]), flags: b[10], updated: -1}
	for kind, data := range attributes(b[ndmSize:]) {
		switch kind {
		case unix.NDA_DST, ndaNextHop:
			e.dst = data
		case unix.NDA_LLADDR:
			e.mac = data
		case unix.NDA_MASTER:
			e.master = number32(data)
		case unix.NDA_VLAN:
			e.vlan = uint16(small(data))
		case unix.NDA_PORT:
			e.udp = uint16(small(data))
		case unix.NDA_VNI:
			e.vni = uint32(number32(data))
		case unix.NDA_IFINDEX:
			e.via = number32(data)
		case ndaFlagsExt:
			e.ext = uint32(number32(data))
		case unix.NDA_CACHEINFO:
			if len(data) >= 12 {
				e.updated = number32(data[8:])
			}
		}
	}
	return e, true
}

// small reads a number of 16 bits.
func small(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	return int(binary.NativeEndian.Uint16(b))
}

// key returns where the entry is in the mirror. Those of devices that are neither a bridge's port nor
// a tunnel list what a device receives, and send nobody's packets anywhere.
func (e *entry) key() (place, behind, bool) {
	if len(e.mac) != 6 {
		return place{}, behind{}, false
	}
	k := place{bridge: e.master, vlan: e.vlan, mac: [6]byte(e.mac)}
	v := behind{port: e.device, local: e.state&unix.NUD_PERMANENT != 0, ext: e.ext}
	if e.flags&unix.NTF_SELF != 0 {
		if e.dst == nil {
			return k, v, false
		}
		k.bridge, k.vni = e.device, e.vni
		v.remote = string(e.dst) + string(rune(e.udp)) + string(rune(e.via))
		return k, v, true
	}
	return k, v, e.master != 0 && k.mac[0]&1 == 0
}

// set notes that an entry is there.
func (f *forwarding) set(w *watcher, e *entry) {
	k, v, ok := e.key()
	if !ok {
		return
	}
	was, known := f.places[k]
	full := !known && f.count[k.bridge] >= maxPlaces
	if !full {
		f.places[k] = v
	}
	if !known && !full {
		f.count[k.bridge]++
	}
	fixed := e.flags&unix.NTF_SELF != 0 || e.state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0
	mac := net.HardwareAddr(k.mac[:])
	switch {
	case full:
		w.news.add(Some, []int{v.port, k.bridge}, "MAC %v is behind %s, and %s has more MACs than are remembered", mac, w.name(v.port), w.name(k.bridge))
	case !known && fixed:
		w.news.add(Some, []int{v.port}, "MAC %v was put behind %s", mac, w.name(v.port))
	case !known:
		// Whatever was sent to it until now was sent to all ports.
	case was.port != v.port:
		w.news.add(Some, []int{was.port, v.port}, "MAC %v moved from %s to %s", mac, w.name(was.port), w.name(v.port))
	case was.gone && fixed, was.local != v.local, was.ext != v.ext, was.remote != v.remote:
		w.news.add(Some, []int{v.port}, "what is known of MAC %v behind %s is another", mac, w.name(v.port))
	}
}

// deleted notes that an entry is not there any more.
func (f *forwarding) deleted(w *watcher, e *entry) {
	k, v, ok := e.key()
	if !ok {
		return
	}
	was, known := f.places[k]
	if known && was.gone && e.master != 0 { // of a tunnel, there may be several
		return
	}
	if known {
		v = was
		v.gone = true
		f.places[k] = v
		f.bury(k)
	}
	if w.links.forgets(e) {
		return
	}
	w.news.add(Some, []int{v.port}, "MAC %v is not behind %s any more", net.HardwareAddr(k.mac[:]), w.name(v.port))
}

// bury remembers a deleted entry for as long as there are not too many newer ones.
func (f *forwarding) bury(k place) {
	gone := f.gone[k.bridge]
	gone = append(gone, k)
	if len(gone) > maxGone {
		if f.places[gone[0]].gone {
			f.forget(gone[0])
		}
		gone = gone[1:]
	}
	f.gone[k.bridge] = gone
}

func (f *forwarding) forget(k place) {
	delete(f.places, k)
	if f.count[k.bridge]--; f.count[k.bridge] == 0 {
		delete(f.count, k.bridge)
	}
}

// drop forgets a device that is gone.
func (f *forwarding) drop(device int) {
	for k, v := range f.places {
		if k.bridge == device || v.port == device {
			f.forget(k)
		}
	}
	delete(f.gone, device)
}
