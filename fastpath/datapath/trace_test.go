// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// tracer loads the tracer's programs, which do not record by themselves here.
func tracer(t *testing.T) *bpf.Tracer {
	t.Helper()
	tr, err := bpf.Load(bpf.Options{RingBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// deeds returns what was recorded, one line each.
func deeds(t *testing.T, tr *bpf.Tracer) []string {
	t.Helper()
	var lines []string
	if _, err := tr.Drain(func(e *event.Event) {
		a := e.Action
		timed := a.Nanoseconds > 0 && a.Nanoseconds < 1e9
		lines = append(lines, fmt.Sprintf("%v %v %v at %v: verdict %d reason %v tenant %d rule %d timed %t device %d",
			e.Hook, e.Type, a.Deed, a.Place, a.Verdict, Reason(a.Reason), a.Tenant, a.Rule, timed, e.IfIndex))
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

// What is done to an echo is recorded with the rule that did it, and to nothing else. The tracer
// may change while the programs are attached and in iptables' rules.
func TestTracing(t *testing.T) {
	for _, backend := range backends() {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/v6=%t", backend, v6), func(t *testing.T) { testTracing(t, backend, v6) })
		}
	}
}

func testTracing(t *testing.T, backend string, v6 bool) {
	l := newLab(t)
	d := l.attached()
	l.layout(d, backend)
	ping, udp := guestFrame(), guestFrame()
	if v6 {
		ping, udp = guestFrame6(), guestFrame6()
	}
	ping.proto = header.ICMP
	if v6 {
		ping.proto = header.ICMPv6
	}
	back := ping
	back.src, back.dst, back.mac = ping.dst, ping.src, []byte{2, 0, 0, 0, 2, 1}
	at := func(place string, verdict int, reason Reason, rule, device int) string {
		return fmt.Sprintf("acted request firewall at %s: verdict %d reason %v tenant 7 rule %d timed true device %d", place, verdict, reason, rule, device)
	}
	port, br, uplink := l.port.Index, l.device.Index, l.uplink()
	pass, drop, rest := always(ruleset.Pass), always(ruleset.Drop), always(ruleset.Defer)
	first, second := tracer(t), tracer(t)
	for i, tt := range []struct {
		g      Generation
		packet frame
		want   []string
	}{
		{everywhere(pass), ping, []string{at("tc", 0, Decided, 5, port)}},
		{everywhere(drop), ping, []string{at("tc", 1, Decided, 5, port)}},
		{
			Generation{Ingress4: rest, Ingress6: rest, Forward4: pass, Forward6: pass},
			ping,
			[]string{at("tc", 2, Rules, 5, port), at("forward", 0, Decided, 5, br)},
		},
		{
			Generation{Forward4: drop, Forward6: drop},
			ping,
			[]string{at("tc", 2, NoRules, 0, port), at("forward", 1, Decided, 5, br)},
		},
		{everywhere(pass), back, []string{at("forward", 0, Decided, 5, uplink)}},
		{everywhere(drop), back, []string{at("forward", 1, Decided, 5, uplink)}},
		{everywhere(pass), udp, nil},
	} {
		swap(t, d, tt.g)
		tr := []*bpf.Tracer{first, second}[i%2]
		if err := d.SetTracing(tr.Shared()); err != nil {
			t.Fatalf("%+v", err)
		}
		if tt.packet.src == back.src {
			l.send(l.world, "w0", tt.packet.bytes())
		} else {
			l.send(l.guest, "g0", tt.packet.bytes())
		}
		var got []string
		eventually(t, tt.want, func() []string { got = append(got, deeds(t, tr)...); return got })
	}
	if err := d.SetTracing(nil); err != nil {
		t.Fatal(err)
	}
	before := l.counts(d).Packets
	l.send(l.guest, "g0", ping.bytes())
	eventually(t, before+1, func() uint64 { return l.counts(d).Packets })
	if diff := cmp.Diff([]string(nil), append(deeds(t, first), deeds(t, second)...)); diff != "" {
		t.Errorf("recorded after tracing ended:\n%s", diff)
	}
}

// An echo is counted once, whether it is traced or not.
func TestTracedIsCountedOnce(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	swap(t, d, everywhere(always(ruleset.Drop)))
	f := guestFrame()
	f.proto = header.ICMP
	l.expectReason(t, d, f.bytes(), Decided)
	if err := d.SetTracing(tracer(t).Shared()); err != nil {
		t.Fatal(err)
	}
	l.expectReason(t, d, f.bytes(), Decided)
	f.ttl = 1
	l.expectReason(t, d, f.bytes(), TTL)
}
