// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// otherwise returns a trace that differs in what is inside others alone: there the packet passes
// twice as many places, of which it is said that they are others, and it dies there for another
// reason if it does.
func (o *oracle) otherwise() *trace.Trace {
	out := *o.t
	out.Spans, out.ReplySpan = nil, 0
	at := make([]int, len(o.t.Spans))
	for i := range o.t.Spans {
		s := o.t.Spans[i]
		parent := trace.NoParent
		if i > 0 {
			parent = at[s.Parent]
		}
		if !s.Leaf || !o.inside(i) || s.Kind.Finer() || s.Depth < 2 || s.Device == nil {
			at[i] = out.Add(parent, s)
			continue
		}
		first := s
		first.End, first.Events = s.Start+s.Duration()/2, nil
		s.Start = first.End
		out.Add(parent, first)
		at[i] = out.Add(parent, s)
	}
	renumber(&out)
	return &out
}

// renumber gives spans IDs as the correlator does: by their place in the journey.
func renumber(t *trace.Trace) {
	journey, nth := 0, byte(0)
	for i := 1; i < len(t.Spans); i++ {
		s := &t.Spans[i]
		switch {
		case s.Kind.Journey():
			journey = i
			nth++
			s.ID = trace.SpanID{0xee, nth}
			continue
		case s.Depth == 1:
			s.ID = trace.SpanID{0xcc}
			continue
		}
		s.ID = trace.SpanID{0xdd, nth}
		binary.BigEndian.PutUint32(s.ID[4:], uint32(i-journey))
	}
}

// What goes on inside of others makes no difference to a view: neither how much it is, nor
// where, nor how many places there are.
func TestNothingInsideOthersMakesADifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		tr := drawTrace(t, w)
		renumber(tr)
		for n, id := range w.tenants {
			o := &oracle{w, tr, id}
			other := o.otherwise()
			if err := tracetest.CheckTree(other); err != nil {
				t.Fatalf("what was made is not a trace: %v", err)
			}
			v := w.viewer(n)
			got, want := v.Of(other), v.Of(tr)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s sees\n%sof\n%sand\n%sof\n%s", id, draw(got), draw(other), draw(want), draw(tr))
			}
		}
	})
}

// A ping of red's to blue whose reply goes another way.
func TestAnOutcomeThatTheTenantCannotKnow(t *testing.T) {
	expired := func(tr *trace.Trace, leaf int) *trace.Trace {
		s := &tr.Spans[leaf]
		s.Events = append(s.Events, trace.Event{Name: trace.EventICMPError, Time: s.End})
		return tr
	}
	died := func(tr *trace.Trace, leaf int) *trace.Trace {
		s := &tr.Spans[leaf]
		s.Events = append(s.Events, trace.Event{Name: trace.EventDrop, Time: s.End})
		return tr
	}
	respond := &part{kind: trace.KindRespond, from: blueEth}
	passing := append(slices.Clone(redToBlue()[:6]),
		part{kind: trace.KindLink, from: blueEth, to: blueBr, src: redPublic, dst: farAddr},
		part{kind: trace.KindForward, from: blueBr, to: ens, src: redPublic, dst: farAddr})
	elsewhere := []part{
		{kind: trace.KindForward, from: ens, to: redBr, src: farAddr, dst: redPublic},
		{kind: trace.KindLink, from: redBr, to: redEth, src: bluePublic, dst: redAddr},
		{kind: trace.KindDeliver, from: redEth, src: bluePublic, dst: redAddr},
	}
	for _, test := range []struct {
		name, tenant string
		t            *trace.Trace
		want         string
	}{
		{"the reply goes another way", "blue", made(trace.Complete, passing, nil, elsewhere), "incompleteno_reply"},
		{"the request went another way", "blue", made(trace.Complete, elsewhere, nil, blueToRed()), "incompleteno_request"},
		{"the reply is elsewhere", "red", made(trace.Complete, redToBlue(), respond, blueToRed()), "complete"},
		{"expired with blue", "red", expired(made(trace.Expired, redToBlue(), nil, nil), 8), "expired"},
		{"expired with me", "blue", expired(made(trace.Expired, redToBlue(), nil, nil), 8), "expired"},
		{"expired with red", "blue", expired(made(trace.Expired, redToBlue(), nil, nil), 2), "incompleteno_reply"},
		{"died with me and expired", "blue", died(made(trace.Expired, redToBlue(), nil, nil), 8), "expired"},
		{"died with red and expired", "blue", died(made(trace.Expired, redToBlue(), nil, nil), 2), "incompleteno_reply"},
		{"refused by red", "blue", expired(made(trace.Unreachable, redToBlue(), nil, nil), 2), "incompleteno_reply"},
		{"whose reply expired with blue", "red", expired(made(trace.Expired, redToBlue(), respond, blueToRed()[:2]), 11), "incompleteno_reply"},
		{"whose reply expired with me", "blue", expired(made(trace.Expired, redToBlue(), respond, blueToRed()[:2]), 11), "expired"},
	} {
		t.Run(test.name+", "+test.tenant, func(t *testing.T) {
			v := Viewer{Tenant: test.tenant}
			got := told(v.Of(test.t))
			if got = got[strings.LastIndex(got, " ")+1:]; got != test.want {
				t.Errorf("%s knows %s, want %s", test.tenant, got, test.want)
			}
		})
	}
}

// Red's ping is answered four times; the second and the third answer do not reach it.
func TestJourneysAreCountedAsTheTenantSeesThem(t *testing.T) {
	tr := made(trace.Complete, redToBlue(), nil, blueToRed())
	now := tr.Root().End
	for _, parts := range [][]part{blueToRed()[:2], blueToRed()[:2], blueToRed()} {
		now = addJourney(tr, trace.KindReply, parts, now)
		tr.Duplicates++
		tr.Spans[tr.After(0)-1-len(parts)].Title = "echo reply (duplicate " + string(rune('0'+tr.Duplicates)) + ")"
	}
	tr.Root().End = now
	seen := (&Viewer{Tenant: "red"}).Of(tr)
	var names []string
	for i := 1; i < len(seen.Spans); i = seen.After(i) {
		if s := &seen.Spans[i]; s.Kind.Journey() {
			names = append(names, s.Name())
		}
	}
	if want := []string{"echo request", "echo reply", "echo reply (duplicate 1)"}; !slices.Equal(names, want) {
		t.Errorf("red sees %q, want %q", names, want)
	}
}

// A reply of which a single event was seen, somewhere in blue, does not belong to red's ping.
func TestASingleEventOfOthersIsLeftOut(t *testing.T) {
	tr := made(trace.Complete, redOut()[:5], &part{kind: trace.KindBeyond, from: ens}, redIn()[2:])
	end := tr.Root().End
	tr.Add(0, trace.Span{ID: trace.SpanID{7}, Kind: trace.KindReply, Start: end + 99, End: end + 99, NetNS: hypervisor})
	tr.Root().End = end + 99
	seen := (&Viewer{Tenant: "red"}).Of(tr)
	if seen.Root().End > end || count(seen, trace.KindReply) != 1 {
		t.Errorf("red sees %d replies, the last of which ends at %d; it knows of one, that ended at %d", count(seen, trace.KindReply), seen.Root().End, end)
	}
}

// It may not be known any more whose a device is when it is still known of its namespace.
func TestADeviceThatIsInDoubtInAnOwnNamespace(t *testing.T) {
	doubtful := &trace.Device{NetNS: &trace.NetNS{Inode: 2, Name: "red"}, Index: 7, Name: "eth7", Unattributed: true}
	tr := made(trace.Complete, redToBlue(), nil, blueToRed())
	for i := range tr.Spans {
		if s := &tr.Spans[i]; s.Kind == trace.KindTransmit && s.NetNS == redNS {
			s.Device, s.Inner = doubtful, true
		}
	}
	seen := (&Viewer{Tenant: "red"}).Of(tr)
	for i := range seen.Spans {
		if s := &seen.Spans[i]; s.Kind == trace.KindTransmit {
			t.Errorf("red sees %s", s.Name())
		}
	}
}

// A port is its own owner's, whomever the bridge belongs to; the name of the bridge is not.
func TestTheBridgeOfAnotherTenantIsNotNamed(t *testing.T) {
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"red-*"}},
		{ID: "blue", Ports: []string{"blue-br"}, Bridges: []string{"br-blue"}},
		{ID: "green", Bridges: []string{"br-green"}},
	}, nil, []string{"ens"})
	if err != nil {
		t.Fatal(err)
	}
	for bridge, foreign := range map[string]bool{"br-blue": true, "blue-br": true, "red-br": false, "br0": false} {
		port, up := *redPort, *ens
		port.Bridge, up.Bridge = bridge, bridge
		request := []part{
			redToBlue()[0],
			{kind: trace.KindLink, from: redEth, to: &port, src: redAddr, dst: farAddr},
			{kind: trace.KindBridge, from: &port, to: &up, src: redAddr, dst: farAddr},
			{kind: trace.KindTransmit, from: &up, src: redAddr, dst: farAddr},
		}
		seen := (&Viewer{Tenant: "red", ForeignBridge: set.ForeignBridge("red")}).Of(made(trace.Complete, request, nil, nil))
		named := false
		walk(reflect.ValueOf(seen), func(v reflect.Value) { named = named || v.Kind() == reflect.String && v.String() == bridge })
		if named == foreign {
			t.Errorf("red sees the name %s: %t", bridge, named)
		}
		if got := told(seen); foreign && !strings.Contains(got, "bridge red-port -> ens") {
			t.Errorf("red sees %s", got)
		}
	}
}

// A packet that a program put on blue's device takes part in what is blue's, even if only the
// leaf as a whole says so, and not the finer ones in it.
func TestAnotherTenantTakesPartInALeafAsAWhole(t *testing.T) {
	tr := made(trace.Complete, redOut()[:2], nil, nil)
	now := tr.Root().End
	at := tr.Add(1, trace.Span{Kind: trace.KindRedirect, Start: now, End: now + 20, NetNS: hypervisor, Device: redPort, Peer: blueBr})
	for _, kind := range []trace.Kind{trace.KindSoftirq, trace.KindStack} {
		now = addPart(tr, at, part{kind: kind, from: redPort, src: redAddr, dst: farAddr}, now)
	}
	now = addPart(tr, 1, part{kind: trace.KindTransmit, from: ens, src: bluePublic, dst: blueAddr}, now)
	tr.Spans[1].End, tr.Root().End = now, now
	if err := tracetest.CheckTree(tr); err != nil {
		t.Fatal(err)
	}
	seen := (&Viewer{Tenant: "red"}).Of(tr)
	for i := range seen.Spans {
		s := &seen.Spans[i]
		if src, dst := s.Packet.Addresses(); src == bluePublic || dst == blueAddr {
			t.Errorf("red sees in %v a packet from %v to %v", s, src, dst)
		}
	}
}

// Where a packet was going that died in the hypervisor is not known: what NAT has made of its
// addresses may be another tenant's, whether or not that has prefixes.
func TestAddressesOfAPacketThatDiedOnItsWay(t *testing.T) {
	br0 := &trace.Device{NetNS: hypervisor, Index: 9, Name: "br0", Bridge: "br0"}
	died := slices.Concat(redToBlue()[:3], []part{{
		kind: trace.KindForward, from: redBr, src: redAddr, dst: bluePublic, drop: "NETFILTER_DROP",
		nat: "10.0.0.2 -> 10.0.0.3 id 7",
	}})
	queued := slices.Concat(redToBlue()[:3], []part{
		{kind: trace.KindForward, from: redBr, to: br0, src: redAddr, dst: bluePublic},
		{kind: trace.KindTransmit, from: br0, src: redAddr, dst: blueAddr},
	})
	begun := slices.Concat([]part{{kind: trace.KindForward, from: br0, to: redBr, src: blueAddr, dst: redPublic}}, redIn()[3:])
	for name, tr := range map[string]*trace.Trace{
		"dropped": made(trace.Dropped, died, nil, nil), "not seen any more": made(trace.Incomplete, queued, nil, nil),
		"begun on a bridge": made(trace.Incomplete, nil, nil, begun),
	} {
		seen := (&Viewer{Tenant: "red"}).Of(tr)
		walk(reflect.ValueOf(seen), func(v reflect.Value) {
			if v.Kind() == reflect.String && contains(v.String(), blueAddr.String()) {
				t.Errorf("%s: red sees %q", name, v.String())
			}
		})
	}
	// What was given to the uplink is known to have gone there.
	seen := (&Viewer{Tenant: "red"}).Of(made(trace.Incomplete, slices.Concat(redOut()[:5], []part{{kind: trace.KindDriver, from: ens, src: redPublic, dst: farAddr}}), nil, nil))
	if src, _ := seen.Spans[len(seen.Spans)-1].Packet.Addresses(); src != redPublic {
		t.Errorf("red does not see %v of what left through the uplink", redPublic)
	}
}
