// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
)

// routes is what is known of one family's routes.
type routes struct {
	// mtu is the smallest MTU that a route has of its own, 0 if none has.
	mtu int
	// main are the routes of the main table by which packets leave. Of IPv6 they are not kept.
	main []route
}

type route struct {
	to      netip.Prefix
	devices []int
}

// readRoutes reads the routes of all tables.
func (f *Foreign) readRoutes(h *netlink.Handle) error {
	for family, number := range map[header.Family]int{header.V4: netlink.FAMILY_V4, header.V6: netlink.FAMILY_V6} {
		var err error
		for range attempts {
			var r routes
			filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC} // of all tables
			err = h.RouteListFilteredIter(number, filter, netlink.RT_FILTER_TABLE, func(got netlink.Route) bool {
				r.add(family, got)
				return true
			})
			f.routes[family] = r
			if !errors.Is(err, netlink.ErrDumpInterrupted) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("listing routes for IPv%d: %w", family, err)
		}
	}
	return nil
}

func (r *routes) add(family header.Family, got netlink.Route) {
	if got.MTU > 0 && (r.mtu == 0 || got.MTU < r.mtu) {
		r.mtu = got.MTU
	}
	if family != header.V4 || got.Table != unix.RT_TABLE_MAIN || got.Type != unix.RTN_UNICAST {
		return
	}
	to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if got.Dst != nil {
		addr, ok := netip.AddrFromSlice(got.Dst.IP)
		ones, _ := got.Dst.Mask.Size()
		if !ok {
			return
		}
		to = netip.PrefixFrom(addr.Unmap(), ones)
	}
	kept := route{to: to, devices: []int{got.LinkIndex}}
	for _, hop := range got.MultiPath {
		kept.devices = append(kept.devices, hop.LinkIndex)
	}
	r.main = append(r.main, kept)
}

// validMark is set, under a name that no device has, if the mark says by which table sources are
// checked (src_valid_mark).
const validMark = "src/valid/mark"

// readReverse reads for which devices sources are checked by the routes back (rp_filter): the
// larger of the setting for all and the device's.
func (f *Foreign) readReverse(ns *netns.NS) error {
	const dir = "/proc/sys/net/ipv4/conf/"
	return netns.In(ns, func() error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := readNumber(f.reverse, e.Name(), dir+e.Name()+"/rp_filter"); err != nil {
				return err
			}
		}
		return readNumber(f.reverse, validMark, dir+"all/src_valid_mark")
	})
}

// readNumber reads a number from a file, which may have gone with its device.
func readNumber(into map[string]int, name, file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	into[name] = n
	return nil
}

// tellsMTU reports whether an announcement is about a route that has an MTU of its own.
func tellsMTU(message []byte) bool {
	const headers = unix.SizeofNlMsghdr + unix.SizeofRtMsg
	if len(message) < headers {
		return true
	}
	_, tells := parse(parse(message[headers:])[unix.RTA_METRICS])[unix.RTAX_MTU]
	return tells
}
