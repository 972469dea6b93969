// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// oracle knows what a tenant must not see of a trace, from the world that it was drawn in and
// not from the classes that the code under test gives to spans.
type oracle struct {
	w      *world
	t      *trace.Trace
	tenant string
}

// foreignDevice reports whether a device is not the tenant's and not shared.
func (o *oracle) foreignDevice(d *trace.Device) bool {
	return d != nil && (d.Unattributed || d.Tenant != o.tenant && (d.Tenant != "" || !d.NetNS.Shared))
}

// inside reports whether the time of a leaf was spent where the tenant must not look.
func (o *oracle) inside(i int) bool {
	s := &o.t.Spans[i]
	for p := s.Parent; p > 0 && o.t.Spans[p].Kind.Finer() == false && s.Kind.Finer(); p = o.t.Spans[p].Parent {
		s = &o.t.Spans[p]
	}
	if s.Kind == trace.KindSoftirq || s.Kind.Finer() {
		s = &o.t.Spans[s.Parent]
	}
	if !s.NetNS.Shared && s.NetNS.Tenant != o.tenant {
		return true
	}
	return s.NetNS.Shared && o.foreignDevice(s.Device) && (s.Peer == nil || o.foreignDevice(s.Peer))
}

// times returns those that must not be seen: within what is inside others, apart from when the
// packet came in and out.
func (o *oracle) times() map[int64]bool {
	secret, known := map[int64]bool{}, map[int64]bool{}
	for i := range o.t.Spans {
		s := &o.t.Spans[i]
		if !s.Leaf {
			continue
		}
		set := known
		if o.inside(i) {
			set = secret
		}
		set[s.Start], set[s.End] = true, true
	}
	for at := range known {
		delete(secret, at)
	}
	return secret
}

// known returns the addresses that the tenant has seen on its own devices.
func (o *oracle) known() []netip.Addr {
	known := slices.Clone(o.w.addresses[o.tenant])
	for i := range o.t.Spans {
		s := &o.t.Spans[i]
		if s.Device != nil && !s.Kind.Finer() && s.Device.Tenant == o.tenant {
			src, dst := s.Packet.Addresses()
			known = append(known, src, dst)
		}
	}
	return known
}

// texts returns what must not be in any text: what belongs to others.
func (o *oracle) texts() []string {
	secret := []string{"nobodyzq", "unknownzq"}
	known := o.known()
	for _, id := range o.w.tenants {
		if id == o.tenant {
			continue
		}
		secret = append(secret, id+"zq")
		for _, a := range o.w.addresses[id] {
			if !slices.Contains(known, a) {
				secret = append(secret, a.String())
			}
		}
	}
	return secret
}

// numbers returns those of others' namespaces, devices, tunnels and rules.
func (o *oracle) numbers() map[int64]bool {
	secret := map[int64]bool{}
	for _, d := range slices.Concat(o.w.inside, o.w.ports) {
		if o.foreignDevice(d) {
			secret[int64(d.Index)] = true
			if !d.NetNS.Shared {
				secret[int64(d.NetNS.Inode)] = true
			}
		}
	}
	for id, owner := range o.w.tunnels {
		if owner != o.tenant && owner != "" {
			secret[int64(id)] = true
		}
	}
	for n, id := range o.w.tenants {
		if id != o.tenant {
			secret[tenantNumber(n)], secret[tenantNumber(n)*10] = true, true
		}
	}
	return secret
}

// check fails if anything of others is in a view, as it is in memory or as OTLP.
func (o *oracle) check(t *rapid.T, seen *trace.Trace) {
	times, numbers, texts := o.times(), o.numbers(), o.texts()
	walk(reflect.ValueOf(seen), func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Int64, reflect.Int:
			if times[v.Int()] || numbers[v.Int()] {
				t.Fatalf("%s sees the number %d in\n%sof\n%s", o.tenant, v.Int(), draw(seen), draw(o.t))
			}
		case reflect.Uint32, reflect.Uint64:
			if numbers[int64(v.Uint())] {
				t.Fatalf("%s sees the number %d", o.tenant, v.Uint())
			}
		case reflect.String:
			for _, text := range texts {
				if contains(v.String(), text) {
					t.Fatalf("%s sees %q", o.tenant, v.String())
				}
			}
		}
	})
	wire := string(otlp.NewEncoder(otlp.Options{}).Append(nil, []*trace.Trace{seen}))
	for _, text := range texts {
		if _, err := netip.ParseAddr(text); err != nil && strings.Contains(wire, text) || contains(wire, text) {
			t.Fatalf("the OTLP for %s has %q in it", o.tenant, text)
		}
	}
}

// contains reports whether text is in s, and if it is an address, not as the beginning of another.
func contains(s, text string) bool {
	for {
		_, after, found := strings.Cut(s, text)
		if !found {
			return false
		}
		if after == "" || after[0] < '0' || after[0] > '9' || !strings.Contains(text, ".") {
			return true
		}
		s = after
	}
}

// walk visits everything that can be reached from v. Addresses are visited as text.
func walk(v reflect.Value, visit func(reflect.Value)) {
	if a, ok := v.Interface().(netip.Addr); ok {
		visit(reflect.ValueOf(a.String()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Array: // an ID
	default:
		visit(v)
	}
}

func (w *world) viewer(n int) *Viewer {
	id := w.tenants[n]
	return &Viewer{Tenant: id, Number: uint32(tenantNumber(n)), Foreign: func(a netip.Addr) bool {
		for owner, list := range w.addresses {
			if owner != id && owner != "" && list[0] == a {
				return true
			}
		}
		return false
	}}
}

func TestNothingOfOneTenantIsInTheViewOfAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		tr := drawTrace(t, w)
		if err := tracetest.CheckTree(tr); err != nil {
			t.Fatalf("what was drawn is not a trace: %v", err)
		}
		before := snapshot(tr)
		for n, id := range w.tenants {
			seen := w.viewer(n).Of(tr)
			if !reflect.DeepEqual(before, snapshot(tr)) {
				t.Fatal("making a view has changed the trace")
			}
			o := &oracle{w, tr, id}
			if seen == nil {
				o.checkNothingOwn(t)
				continue
			}
			if err := tracetest.CheckTree(seen); err != nil {
				t.Fatal(err)
			}
			o.check(t, seen)
			if replies := count(seen, trace.KindReply); seen.Duplicates > max(0, replies-1) {
				t.Fatalf("%s sees %d replies, %d of them duplicates", id, replies, seen.Duplicates)
			}
			o.checkOwn(t, seen)
		}
	})
}

func count(tr *trace.Trace, kind trace.Kind) (n int) {
	for i := range tr.Spans {
		if tr.Spans[i].Kind == kind {
			n++
		}
	}
	return n
}

// snapshot returns a copy of what could be changed by mistake.
func snapshot(tr *trace.Trace) trace.Trace {
	c := *tr
	c.Spans = slices.Clone(tr.Spans)
	for i := range c.Spans {
		if p := c.Spans[i].Packet; p != nil {
			own := *p
			c.Spans[i].Packet = &own
		}
		c.Spans[i].Events = slices.Clone(c.Spans[i].Events)
		for j := range c.Spans[i].Events {
			c.Spans[i].Events[j].Attrs = slices.Clone(c.Spans[i].Events[j].Attrs)
		}
	}
	return c
}

// ownLeaf reports whether the leaf at index i is the tenant's from beginning to end.
func (o *oracle) ownLeaf(i int) bool {
	s := &o.t.Spans[i]
	mine := func(d *trace.Device) bool { return d != nil && d.Tenant == o.tenant }
	return s.Leaf && s.Depth > 1 && mine(s.Device) && (s.Peer == nil || mine(s.Peer))
}

// checkNothingOwn fails if a tenant that sees nothing has a part in the trace.
func (o *oracle) checkNothingOwn(t *rapid.T) {
	for i := range o.t.Spans {
		if o.ownLeaf(i) {
			t.Fatalf("%s does not see %v, which is its own", o.tenant, &o.t.Spans[i])
		}
	}
}

// checkOwn fails unless the tenant sees all that is its own, with the times that it had.
func (o *oracle) checkOwn(t *rapid.T, seen *trace.Trace) {
	for i := range o.t.Spans {
		s := &o.t.Spans[i]
		if !o.ownLeaf(i) {
			continue
		}
		if !slices.ContainsFunc(seen.Spans, func(have trace.Span) bool {
			return have.Kind == s.Kind && have.Start == s.Start && have.End == s.End && have.Device == s.Device
		}) {
			t.Fatalf("%s does not see %v, which is its own", o.tenant, s)
		}
	}
	if got := seen.Tenants(); !slices.Equal(got, []string{o.tenant}) {
		t.Fatalf("%s sees a trace of %s", o.tenant, strconv.Quote(strings.Join(got, " ")))
	}
}

// draw returns a trace as text, for messages.
func draw(tr *trace.Trace) string {
	var b strings.Builder
	name := func(d *trace.Device) string {
		if d == nil {
			return "-"
		}
		return d.Name
	}
	b.WriteString(tr.Ping.String() + " " + tr.Outcome.String() + " " + string(tr.Cause) + "\n")
	for i := range tr.Spans {
		s := &tr.Spans[i]
		src, _ := s.Packet.Addresses()
		b.WriteString(strings.Repeat("  ", int(s.Depth)) + s.Kind.String() + " " + name(s.Device) + " " + name(s.Peer) +
			" [" + strconv.FormatInt(s.Start%1e15, 10) + ", " + strconv.FormatInt(s.End%1e15, 10) + ") " + s.NetNS.Name + " " + src.String() + "\n")
	}
	return b.String()
}
