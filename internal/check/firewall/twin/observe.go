// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Observed is all that can be seen of what a hypervisor did.
type Observed struct {
	// Out are the frames that came out of each device, in order.
	Out [ends][]string
	// Connections is what connection tracking knows, without times.
	Connections []string
	// Counts are the tenant's rules' counters.
	Counts map[string][]Count
}

// Delivered returns how many frames came out.
func (o *Observed) Delivered() (n int) {
	for _, out := range o.Out {
		n += len(out)
	}
	return n
}

// Compare returns the first difference between what is right and what is, or "".
func (o *Observed) Compare(got *Observed) string {
	for i := range o.Out {
		if d := compareLists("out of "+ports[i].name, o.Out[i], got.Out[i]); d != "" {
			return d
		}
	}
	if d := compareLists("in connection tracking", o.Connections, got.Connections); d != "" {
		return d
	}
	for _, chain := range slices.Sorted(keys(o.Counts, got.Counts)) {
		want, have := o.Counts[chain], got.Counts[chain]
		if len(want) != len(have) {
			return fmt.Sprintf("chain %s has %d rules, and with dwell %d", chain, len(want), len(have))
		}
		for i := range want {
			if want[i] != have[i] {
				return fmt.Sprintf("rule %d of %s counted %v, and with dwell %v", i+1, chain, want[i], have[i])
			}
		}
	}
	return ""
}

func keys(maps ...map[string][]Count) func(func(string) bool) {
	all := map[string]bool{}
	for _, m := range maps {
		for k := range m {
			all[k] = true
		}
	}
	return func(yield func(string) bool) {
		for k := range all {
			if !yield(k) {
				return
			}
		}
	}
}

func compareLists(where string, want, got []string) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%s: %d with iptables, %d with dwell, which lacks:\n  %s", where, len(want), len(got), missing(want, got))
		case i >= len(want):
			return fmt.Sprintf("%s: %d with iptables, %d with dwell, which also has:\n  %s", where, len(want), len(got), missing(got, want))
		case want[i] != got[i]:
			return fmt.Sprintf("%s: number %d of %d (%d with dwell):\n  iptables %s\n  dwell    %s", where, i+1, len(want), len(got), want[i], got[i])
		}
	}
	return ""
}

// missing returns the first element of a that b does not have as often.
func missing(a, b []string) string {
	n := map[string]int{}
	for _, s := range b {
		n[s]++
	}
	for _, s := range a {
		if n[s]--; n[s] < 0 {
			return s
		}
	}
	return ""
}

// own are addresses that the hypervisor sends from, whose packets may bear numbers that nobody can foresee.
var own = func() map[netip.Addr]bool {
	m := map[netip.Addr]bool{}
	for _, a := range append([]string{bridge4, uplink4}, publics4...) {
		m[netip.MustParseAddr(a)] = true
	}
	return m
}()

// describe returns the frame in hexadecimal. An IPv4 packet of the hypervisor's own has
// neither identification nor the checksum that depends on it.
func describe(frame []byte) string {
	if etherType(frame) == unix.ETH_P_IP && len(frame) >= 35 {
		if src, _ := netip.AddrFromSlice(frame[26:30]); own[src] || icmpError(frame[14:]) {
			frame[18], frame[19], frame[24], frame[25] = 0, 0, 0, 0
		}
	}
	if etherType(frame) == unix.ETH_P_IPV6 && len(frame) >= 62 && frame[20] == 44 {
		clear(frame[58:62]) // the identification of what was put together and is cut again
	}
	return summary(frame) + " " + hex.EncodeToString(frame)
}

// icmpError reports whether an IPv4 packet is an ICMP error, which a router makes.
func icmpError(p []byte) bool {
	at := int(p[0]&15) * 4
	return p[9] == 1 && len(p) > at && slices.Contains([]byte{3, 5, 11, 12}, p[at])
}

// summary says in words what a frame is, as far as it can.
func summary(frame []byte) string {
	if len(frame) < 34 {
		return "short"
	}
	p := frame[14:]
	switch etherType(frame) {
	case unix.ETH_P_IP:
		at := int(p[0]&15) * 4
		text := fmt.Sprintf("IPv4 %s > %s proto %d ttl %d length %d frag %04x", netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[9], p[8], binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint16(p[6:]))
		if len(p) >= at+4 {
			text += fmt.Sprintf(" %x", p[at:at+4])
		}
		if p[9] == 6 && len(p) >= at+14 {
			text += fmt.Sprintf(" flags %02x", p[at+13])
		}
		return text
	case unix.ETH_P_IPV6:
		if len(p) >= 44 {
			return fmt.Sprintf("IPv6 %s > %s next %d hops %d %x", netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[6], p[7], p[40:44])
		}
	}
	return "other"
}

// volatile is what differs from run to run in a line of /proc/net/nf_conntrack: the seconds that
// an entry has left, and who uses it.
var volatile = regexp.MustCompile(`^(\S+ +\d+ \S+ +\d+) \d+| use=\d+`)

// connections reads what connection tracking knows, and forgets it.
func (n *Network) connections() ([]string, error) {
	var list []string
	err := n.Hypervisor.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			list = append(list, strings.TrimSpace(volatile.ReplaceAllString(line, "$1")))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading connection tracking (CONFIG_NF_CONNTRACK_PROCFS): %w", err)
	}
	slices.Sort(list)
	return list, n.forget()
}

func (n *Network) forget() error {
	if err := n.nl.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		return fmt.Errorf("flushing connection tracking: %w", err)
	}
	return nil
}
