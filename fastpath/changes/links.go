// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// device is what is remembered of one.
type device struct {
	name   string
	master int
	// ageing is after how long a bridge forgets a MAC, in hundredths of a second; 0 for others.
	ageing int
	// floods is set if a bridge's port is sent what is for MACs that the bridge does not know.
	floods bool
	// calls is which iptables a bridge calls by settings of its own: "" for none.
	calls string
}

// links mirrors devices, by index.
type links map[int]device

const infoSize = 16 // struct ifinfomsg

// set notes a device, and whatever changed of it: of a known device each message may be important,
// such as that features have changed, because that may be a program at the other end of a pair.
// A device that was not there before concerns no flow, until other things change as well.
func (l links) set(w *watcher, body []byte) {
	if len(body) < infoSize {
		w.misread()
		return
	}
	index, attrs := number32(body[4:]), body[infoSize:]
	was, known := l[index]
	master := number32(attribute(attrs, unix.IFLA_MASTER))
	if body[0] == unix.AF_BRIDGE { // about its being a port
		was.floods = set(attribute(attrs, unix.IFLA_PROTINFO, unix.IFLA_BRPORT_UNICAST_FLOOD))
		if known {
			l[index] = was
		}
		w.news.add(Some|Devices, []int{index}, "port %s of %s has changed", w.name(index), w.name(master))
		return
	}
	d := device{name: string(bytes.TrimRight(attribute(attrs, unix.IFLA_IFNAME), "\x00")), master: master}
	if string(bytes.TrimRight(attribute(attrs, unix.IFLA_LINKINFO, unix.IFLA_INFO_KIND), "\x00")) == "bridge" {
		settings := attribute(attrs, unix.IFLA_LINKINFO, unix.IFLA_INFO_DATA)
		d.ageing, d.calls = number32(attribute(settings, unix.IFLA_BR_AGEING_TIME)), callsOf(settings)
	}
	d.floods = set(attribute(attrs, unix.IFLA_LINKINFO, unix.IFLA_INFO_SLAVE_DATA, unix.IFLA_BRPORT_UNICAST_FLOOD))
	l[index] = d
	if was.calls != d.calls {
		w.news.add(All|Rules|Devices, nil, "%s calls other iptables than before", d.name)
	}
	switch {
	case !known && master != 0:
		w.news.add(Some|Devices, []int{index, master}, "%s is new, and belongs to %s", d.name, w.name(master))
	case !known:
		w.news.add(Devices, nil, "%s is new", d.name)
	case was.master != d.master:
		w.news.add(Some|Devices, []int{index, was.master, d.master}, "%s belongs to another device than before", d.name)
	case was.name != d.name:
		w.news.add(Some|Devices, []int{index}, "%s is now called %s", was.name, d.name)
	default:
		w.news.add(Some|Devices, []int{index}, "%s has changed", d.name)
	}
}

// set reports whether a number of one byte is there and not 0.
func set(b []byte) bool { return len(b) == 1 && b[0] != 0 }

// callsOf returns which iptables the settings of a bridge call.
func callsOf(settings []byte) (calls string) {
	for _, family := range []uint16{unix.IFLA_BR_NF_CALL_IPTABLES, unix.IFLA_BR_NF_CALL_IP6TABLES} {
		if set(attribute(settings, family)) {
			calls += fmt.Sprintf("%d ", family)
		}
	}
	return calls
}

// deleted notes that a device is gone, or, of a bridge's port, that it is not one any more.
func (l links) deleted(w *watcher, body []byte) {
	if len(body) < infoSize {
		w.misread()
		return
	}
	index := number32(body[4:])
	if body[0] == unix.AF_BRIDGE {
		w.news.add(Some|Devices, []int{index, number32(attribute(body[infoSize:], unix.IFLA_MASTER))}, "%s is not a bridge's port any more", w.name(index))
		return
	}
	w.news.add(Some|Devices, []int{index, l[index].master}, "%s is gone", w.name(index))
	if l[index].calls != "" {
		w.news.add(All|Rules, nil, "%s called iptables", w.name(index))
	}
	delete(l, index)
	w.forwarding.drop(index)
	w.neighbours.drop(index)
	w.others.drop(index)
}

// forgets reports whether an entry of a bridge was deleted because nothing came from its MAC for
// as long as the bridge remembers it. That changes the way of no packet that comes from it, there is none;
// and what is sent to it is sent to all ports, its own among them.
func (l links) forgets(e *entry) bool {
	const rounding = 10
	ageing := l[e.master].ageing
	learnt := e.state&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0 && e.flags&unix.NTF_EXT_LEARNED == 0
	return learnt && ageing > 0 && e.updated >= ageing-rounding && l[e.device].floods
}

// name returns the name of a device, for people.
func (w *watcher) name(index int) string {
	if d, ok := w.links[index]; ok && d.name != "" {
		return d.name
	}
	return fmt.Sprintf("device %d", index)
}
