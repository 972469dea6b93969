// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// rrPort is that of package synth's plain packet.
const rrPort = 5001

// rr asks the outside over a TCP connection, again and again.
func (l *lab) rr(transactions int) ([]time.Duration, error) {
	at := netip.AddrPortFrom(netip.MustParseAddr(outsideAddr), rrPort)
	return traffic.Requests(l.guest, l.outside, at, transactions, nil)
}

// received returns how many frames came to the outside.
func (l *lab) received() (uint64, error) {
	h, err := l.outside.Netlink()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	link, err := h.LinkByName("eth0")
	if err != nil {
		return 0, err
	}
	return link.Attrs().Statistics.RxPackets, nil
}

// quartiles returns the first, the second, which is the median, and the third.
func quartiles(times []time.Duration) [3]time.Duration { return traffic.Quartiles(times) }
