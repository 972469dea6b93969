// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
)

// settings are the files below /proc/sys/net that matter, in order of [Foreign]'s fields.
func settings() []string {
	return []string{
		"ipv4/ip_forward", "ipv6/conf/all/forwarding", "bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables",
	}
}

// readSettings reads what the host does with packets at all.
func (f *Foreign) readSettings(ns *netns.NS) error {
	into := []*bool{&f.Forwarding4, &f.Forwarding6, &f.Bridged4, &f.Bridged6}
	return netns.In(ns, func() error {
		for i, name := range settings() {
			text, err := os.ReadFile("/proc/sys/net/" + name)
			if err != nil && !errors.Is(err, os.ErrNotExist) { // without IPv6 or br_netfilter
				return err
			}
			*into[i] = err == nil && strings.TrimSpace(string(text)) != "0"
		}
		return nil
	})
}

// readRouting reads which marks routing asks for, and returns the bits of all.
func (f *Foreign) readRouting(ns *netns.NS) (used uint32, err error) {
	h, err := openRoute(ns)
	if err != nil {
		return 0, err
	}
	defer h.Close()
	for family, number := range map[header.Family]int{header.V4: netlink.FAMILY_V4, header.V6: netlink.FAMILY_V6} {
		var rules []netlink.Rule
		for range attempts {
			if rules, err = h.RuleList(number); !errors.Is(err, netlink.ErrDumpInterrupted) {
				break
			}
		}
		if err != nil {
			return 0, fmt.Errorf("listing rules of routing (ip rule) for IPv%d: %w", family, err)
		}
		var asked []masked
		for _, r := range rules {
			if r.Mark == 0 && r.Mask == nil {
				f.selective = f.selective || family == header.V4 && !usual(&r)
				continue
			}
			m := masked{r.Mark, ^uint32(0)}
			if r.Mask != nil {
				m.mask = *r.Mask
			}
			asked = append(asked, m)
			used |= m.value
			if m.mask != ^uint32(0) {
				used |= m.mask
			}
		}
		f.marks[family] = marksOf(asked)
	}
	f.selective = f.selective || f.reverse[validMark] != 0 && len(f.marks[header.V4]) > 0
	return used, f.readRoutes(h)
}

// usual reports whether a rule is one of those that each host has.
func usual(r *netlink.Rule) bool {
	switch r.Priority {
	case 0, 32766, 32767:
		return (r.Table == unix.RT_TABLE_LOCAL || r.Table == unix.RT_TABLE_MAIN || r.Table == unix.RT_TABLE_DEFAULT) &&
			r.Src == nil && r.Dst == nil && r.IifName == "" && r.OifName == ""
	}
	return false
}

func openRoute(ns *netns.NS) (*netlink.Handle, error) {
	if ns != nil {
		return ns.Netlink()
	}
	return netlink.NewHandle()
}

// masked is what a mark must be in the bits of the mask.
type masked struct{ value, mask uint32 }

// maxMarks is how many marks are worked out; a program cannot ask for as many.
const maxMarks = 64

// marksOf returns marks such that each set of rules that some mark can match is matched by
// one of them, or by 0.
func marksOf(asked []masked) []uint32 {
	for i, m := range asked {
		if m.value == 0 && m.mask != 0 { // 0 matches, so another must not
			asked[i] = masked{1 << (bits.Len32(m.mask) - 1), 1 << (bits.Len32(m.mask) - 1)}
		}
	}
	combined := []masked{{}}
	for _, m := range asked {
		for _, c := range slices.Clone(combined) {
			next := masked{c.value | m.value, c.mask | m.mask}
			agree := (c.value^m.value)&c.mask&m.mask == 0
			if agree && !slices.Contains(combined, next) && len(combined) < maxMarks {
				combined = append(combined, next)
			}
		}
	}
	var marks []uint32
	for _, c := range combined {
		if c.value != 0 {
			marks = append(marks, c.value)
		}
	}
	slices.Sort(marks)
	return slices.Compact(marks)
}
