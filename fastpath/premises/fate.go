// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// What becomes of some packets is decided between TC ingress and FORWARD by routing, in ways that
// a program cannot ask about. None of them comes to FORWARD, so no rule counts it.

// fate defers these packets.
func (w *walk) fate(local []netip.Addr) {
	if mtu := w.routes[w.family].mtu; mtu > 0 && mtu < int(header.Length.Max()) {
		// The sender is told that they are too long.
		w.postpone([]header.Box{header.Box{}.With(header.Length, header.Range(uint32(mtu)+1, header.Length.Max()))})
	}
	if w.family == header.V6 {
		// Such packets are not forwarded; some are answered.
		for _, p := range []string{"::/127", "ff00::/8", "fe80::/10"} {
			w.postpone([]header.Box{header.Prefix(header.Src0, netip.MustParsePrefix(p))})
		}
		w.postpone([]header.Box{header.Prefix(header.Dst0, netip.MustParsePrefix("fe80::/10"))})
		return
	}
	// Sources that nobody else can have are dropped, and destinations that nobody can have.
	here := header.SetOf(header.Interval{Lo: 0, Hi: 0x00ffffff}, header.Interval{Lo: 0x7f000000, Hi: 0x7fffffff})
	group := header.SetOf(header.Interval{Lo: 0xe0000000, Hi: 0xefffffff}, header.Interval{Lo: 0xffffffff, Hi: 0xffffffff})
	w.postpone([]header.Box{
		header.Box{}.With(header.Src0, here.Union(group).Union(words(local))),
		header.Box{}.With(header.Dst0, here),
	})
	w.reversed()
}

// words returns the IPv4 addresses as a set.
func words(addrs []netip.Addr) header.Set {
	var values []uint32
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			values = append(values, header.AddressWords(a)[0])
		}
	}
	return header.Values(values...)
}

// The values of rp_filter.
const (
	strict = 1 // the way back is the way by which a packet came
	loose  = 2 // there is a way back
)

// reversed defers packets whose source may not have a way back, where that is checked.
func (w *walk) reversed() {
	checked := 0
	for name := range w.names {
		n := max(w.reverse["all"], w.reverse[name])
		if n == strict || n == loose && checked == 0 {
			checked = n
		}
	}
	if checked == 0 {
		return
	}
	if w.selective {
		w.all("sources are checked (rp_filter), and rules of routing (ip rule) say by which table")
		return
	}
	const most = 1000 // routes; for more it would take too long
	main := w.routes[w.family].main
	if len(main) > most {
		w.all("sources are checked (rp_filter) by too many routes")
		return
	}
	rest := w.waysBack(main, checked).Complement(header.Src0.Max())
	if rest == nil {
		w.all("sources are checked (rp_filter), and no route leads back to the tenant")
	} else if !rest.Empty() {
		w.postpone([]header.Box{header.Box{}.With(header.Src0, rest)})
	}
}

// waysBack returns the sources that are let through for sure. Of routes the longest prefix decides.
func (w *walk) waysBack(main []route, checked int) header.Set {
	ours := func(r route) bool {
		return checked == loose || slices.ContainsFunc(r.devices, func(i int) bool { return w.index[uint32(i)] })
	}
	ordered := slices.Clone(main)
	slices.SortFunc(ordered, func(a, b route) int {
		if a.to.Bits() != b.to.Bits() {
			return a.to.Bits() - b.to.Bits()
		}
		if ours(a) == ours(b) {
			return 0
		}
		if ours(a) { // so that another's of the same length takes it away
			return -1
		}
		return 1
	})
	back := header.Set{}
	for _, r := range ordered {
		set := header.Prefix(header.Src0, r.to)[header.Src0]
		if set == nil {
			set = header.Range(0, header.Src0.Max())
		}
		if ours(r) {
			back = back.Union(set)
		} else {
			back = back.Subtract(set, header.Src0.Max())
		}
	}
	return back
}
