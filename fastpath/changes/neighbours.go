// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// nextHop is a neighbour's address at a device.
type nextHop struct {
	device int
	addr   netip.Addr
}

// neighbours mirrors which MAC each neighbour has, of those that have one.
type neighbours map[nextHop][6]byte

// valid are the states in which packets are sent to the MAC: NUD_VALID of the kernel.
const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY

// set notes what is said of a neighbour. The kernel bounds how many there are.
func (n neighbours) set(w *watcher, e *entry) {
	addr, ok := netip.AddrFromSlice(e.dst)
	if !ok || addr.IsMulticast() || e.flags&unix.NTF_PROXY != 0 {
		return
	}
	k := nextHop{e.device, addr}
	if e.state&valid == 0 {
		n.deleted(w, e)
		return
	}
	var mac [6]byte
	copy(mac[:], e.mac)
	was, known := n[k]
	n[k] = mac
	if known && was != mac {
		w.news.add(Some, []int{e.device}, "%v at %s has MAC %v in place of %v", addr, w.name(e.device), net.HardwareAddr(mac[:]), net.HardwareAddr(was[:]))
	}
}

// deleted notes that a neighbour is gone, or cannot be reached.
func (n neighbours) deleted(w *watcher, e *entry) {
	addr, ok := netip.AddrFromSlice(e.dst)
	k := nextHop{e.device, addr}
	if _, known := n[k]; !ok || !known || e.flags&unix.NTF_PROXY != 0 {
		return
	}
	delete(n, k)
	w.news.add(Some, []int{e.device}, "%v at %s has no MAC any more", addr, w.name(e.device))
}

// drop forgets a device that is gone.
func (n neighbours) drop(device int) {
	for k := range n {
		if k.device == device {
			delete(n, k)
		}
	}
}
