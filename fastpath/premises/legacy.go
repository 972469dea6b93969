// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/internal/netns"
)

// legacyTables returns the tables of legacy iptables that are there. To ask iptables itself
// would make them.
func legacyTables(ns *netns.NS, family header.Family) (names []string, err error) {
	file := "ip_tables_names"
	if family == header.V6 {
		file = "ip6_tables_names"
	}
	err = netns.In(ns, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/" + file)
		if os.IsNotExist(err) {
			return nil // the kernel has none
		}
		names = strings.Fields(string(text))
		return err
	})
	return names, err
}

// readLegacy reads the rules of legacy iptables.
func (f *Foreign) readLegacy(ctx context.Context, ns *netns.NS) error {
	for _, family := range []header.Family{header.V4, header.V6} {
		names, err := legacyTables(ns, family)
		if err != nil {
			return fmt.Errorf("listing tables of iptables: %w", err)
		}
		if len(names) == 0 {
			continue
		}
		text, err := netfilter.Save(ctx, netfilter.Options{NetNS: ns, Kind: netfilter.Legacy}, family)
		if err != nil {
			f.unread = "there are tables of legacy iptables, which cannot be read: " + err.Error()
			continue
		}
		save, err := iptables.ReadSave(family, text)
		if err != nil {
			f.unread = "the rules of legacy iptables are not understood: " + err.Error()
			continue
		}
		for _, t := range save.Tables {
			f.chains = append(f.chains, legacyChains(family, t)...)
		}
	}
	return nil
}

// legacyChains translates a table.
func legacyChains(family header.Family, t *iptables.Table) []*chain {
	var chains []*chain
	for _, c := range t.Chains {
		if t.Name == "filter" && netfilter.Ours(c.Name) {
			continue
		}
		out := &chain{
			table: fmt.Sprintf("legacy %d %s", family, t.Name), name: c.Name,
			v4: family == header.V4, v6: family == header.V6, hook: legacyHook(t.Name, c.Name), calls: legacyCalls(t.Name, c),
		}
		for _, r := range c.Rules {
			if t.Name != "filter" || !netfilter.Ours(r.Target.Name) {
				out.rules = append(out.rules, legacyRule(t.Name, c.Name, r))
			}
		}
		chains = append(chains, out)
	}
	return chains
}

// legacyHook says when packets pass a chain. Chains of filter are after dwell's or, if
// somebody put a rule before dwell's, about to be.
func legacyHook(table, name string) hook {
	switch {
	case name == "PREROUTING", table == "mangle" && name == "FORWARD":
		return before
	case slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}, name):
		return elsewhere
	}
	return noHook
}

func legacyRule(table, name string, r *iptables.Rule) *rule {
	out := &rule{
		where: fmt.Sprintf("the rule %q", fmt.Sprintf("-t %s -A %s %s", table, name, r)),
		match: func(v *view) []header.Box { return v.lower(r) }, legacy: r,
	}
	if r.Opaque != "" {
		out.does(seen, "is not understood")
		out.does(rewrites, "is not understood")
		out.anywhere, out.state = true, true
		out.limit(out.match)
		return out
	}
	for i := range r.Matches {
		out.legacyMatch(&r.Matches[i])
	}
	switch r.Target.Kind {
	case iptables.ToChain:
		out.jumps = []string{r.Target.Name}
	case iptables.Extension:
		out.legacyTarget(&r.Target)
	}
	out.limit(out.match)
	return out
}

// limit says which packets the acts are done to of which it is not said yet.
func (r *rule) limit(match func(*view) []header.Box) {
	for i := range r.acts {
		if r.acts[i].match == nil {
			r.acts[i].match = match
		}
	}
}

// lower returns which of the viewer's packets a rule may match, or with which a match of it may
// count that is asked before the others.
func (v *view) lower(r *iptables.Rule) []header.Box {
	lowered, _ := r.Lower(func(name string, out bool) (from, to iptables.Truth) {
		if out {
			return iptables.Unknown, iptables.Never
		}
		for own := range v.names {
			if begin, wild := strings.CutSuffix(name, "+"); own == name || wild && strings.HasPrefix(own, begin) {
				return iptables.Unknown, iptables.Never // which of several devices it is, is not known
			}
		}
		return iptables.Never, iptables.Never
	})
	var boxes []header.Box
	for _, b := range lowered.Boxes {
		if !b[header.Origin].Has(header.From) {
			continue
		}
		b[header.TTL], b[header.State], b[header.Origin] = nil, nil, nil
		boxes = append(boxes, b)
	}
	if toLocal(r) {
		return header.IntersectBoxes(boxes, v.local)
	}
	return boxes
}

// toLocal reports whether a rule only matches packets to addresses of the host.
func toLocal(r *iptables.Rule) bool {
	for _, m := range r.Matches {
		for _, o := range m.Options {
			if m.Name == "addrtype" && o.Name == "--dst-type" && !o.Not && slices.Equal(o.Args, []string{"LOCAL"}) {
				return true
			}
		}
	}
	return false
}

func (r *rule) legacyMatch(m *iptables.Match) {
	r.ofMatch(m.Name)
	for _, o := range m.Options {
		if o.Name == "--mark" && len(o.Args) == 1 {
			r.uses(valueAndMask(o.Args[0]))
		}
	}
}

// valueAndMask reads "0x1/0xff".
func valueAndMask(text string) (value, mask uint32) {
	v, m, masked := strings.Cut(text, "/")
	n, err := strconv.ParseUint(v, 0, 32)
	k := uint64(^uint32(0))
	var err2 error
	if masked {
		k, err2 = strconv.ParseUint(m, 0, 32)
	}
	if err != nil || err2 != nil {
		return ^uint32(0), 0 // whatever it is, it may use all
	}
	return uint32(n), uint32(k)
}

func (r *rule) legacyTarget(t *iptables.Target) {
	if t.Name != "CT" {
		r.ofTarget(t.Name)
	}
	if t.Name == "HMARK" {
		r.bits = ^uint32(0)
	}
	known := t.Name == "MASQUERADE"
	for _, o := range t.Options {
		arg := ""
		if len(o.Args) > 0 {
			arg = o.Args[0]
		}
		switch o.Name {
		case "--set-xmark", "--set-mark", "--or-mark", "--tproxy-mark":
			r.sets(valueAndMask(arg))
		case "--nfmask", "--ctmask", "--mask":
			_, mask := valueAndMask("0/" + arg)
			r.uses(0, mask)
		case "--to-source", "--to":
			r.translateTo(arg)
			known = true
		}
		if t.Name == "CT" {
			r.legacyCT(o.Name, arg)
		}
	}
	switch {
	case t.Name == "MASQUERADE":
		r.sources = append(r.sources, sources{local: true})
	case (t.Name == "SNAT" || t.Name == "NETMAP") && !known:
		r.sources = append(r.sources, sources{unknown: true})
	}
}

func (r *rule) legacyCT(option, arg string) {
	n, err := strconv.ParseUint(arg, 0, 16)
	switch {
	case !strings.HasPrefix(option, "--zone"):
		r.helps = r.helps || option == "--helper"
		r.does(seen, "has CT "+option)
	case err != nil:
		r.does(anyZone, "sets a zone of connection tracking that is not known")
	default:
		r.zone(uint16(n))
	}
}

// translateTo notes addresses: "192.0.2.1-192.0.2.9:1-100", "[2001:db8::1]:80",
// "192.0.2.0/24".
func (r *rule) translateTo(text string) {
	if p, err := netip.ParsePrefix(text); err == nil {
		r.sources = append(r.sources, sourcePrefix(p))
		return
	}
	lo, hi, ranged := strings.Cut(text, "-")
	if begin, end, ok := strings.Cut(text, "]"); ok { // ports have a range, too
		lo, hi, ranged = strings.Cut(strings.TrimPrefix(begin, "["), "-")
		_ = end
	} else if strings.Count(text, ":") == 1 {
		begin, _, _ := strings.Cut(text, ":")
		lo, hi, ranged = strings.Cut(begin, "-")
	}
	if !ranged {
		hi = lo
	}
	s := sources{}
	var err, err2 error
	s.lo, err = netip.ParseAddr(lo)
	s.hi, err2 = netip.ParseAddr(strings.Trim(hi, "[]"))
	if err != nil || err2 != nil {
		s.unknown = text != "" && !strings.HasPrefix(text, ":")
		if !s.unknown {
			return // ports only
		}
	}
	r.sources = append(r.sources, s)
}

// sourcePrefix returns all addresses of a prefix.
func sourcePrefix(p netip.Prefix) sources {
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	hi, _ := netip.AddrFromSlice(last)
	return sources{lo: p.Masked().Addr(), hi: hi}
}
