// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/recording"
)

// A recording of the first version, which knew no containers, is read as it was.
func TestVersion1(t *testing.T) {
	f, err := os.Open("testdata/version1.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, summary, err := replay(t, f)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Events != 53 || len(lines) != 4 || summary.Correlator.Overflow != 7 {
		t.Errorf("%d traces, %+v", len(lines), summary)
	}
	all := strings.Join(lines, "")
	for word, want := range map[string]bool{`"ns-7"`: true, `"hypervisor"`: true, `"eth-`: true, "container.id": false} {
		if strings.Contains(all, word) != want {
			t.Errorf("%s in the traces: %v", word, !want)
		}
	}
}

// A recording of the second version, which knew of one tunnel and of no pairs, gives the
// events of today.
func TestVersion2(t *testing.T) {
	f, err := os.Open("testdata/version2.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := recording.Open("version2.dwell", f)
	if err != nil {
		t.Fatal(err)
	}
	tunnels, pairs := 0, 0
	summary, err := in.Replay(recording.Sink{Event: func(ev *event.Event, _ correlate.Resolver) error {
		want := event.Tunnel{}
		if ev.Encapsulated() {
			tunnels++
			want.Type, want.Src, want.Dst = event.VXLAN, ev.Tunnels[0].Src, ev.Tunnels[0].Dst
			if !want.Src.Addr().IsPrivate() || ev.Depth != 1 {
				t.Errorf("tunnel from %v, depth %d", want.Src.Addr(), ev.Depth)
			}
		}
		if ev.Tunnels != [event.MaxTunnels]event.Tunnel{want} {
			t.Errorf("tunnels %v, want %v", ev.Tunnels, want)
		}
		if ev.Flags.Has(event.Paired) {
			pairs++
		}
		if ev.Flags.Has(event.Paired) != (ev.Peer != event.Place{}) || ev.Flags.Has(event.PacketSocket) {
			t.Errorf("flags %b, peer %v", ev.Flags, ev.Peer)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if summary.Events != 107 || tunnels != 44 || pairs == 0 {
		t.Errorf("%d events, %d of them in a tunnel, %d out of a pair", summary.Events, tunnels, pairs)
	}
}

// A recording of the third version, which knew no tenants, is read as it was.
func TestVersion3(t *testing.T) {
	f, err := os.Open("testdata/version3.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := recording.Open("version3.dwell", f)
	if err != nil {
		t.Fatal(err)
	}
	devices := 0
	summary, err := in.Replay(recording.Sink{Traces: func(traces []*trace.Trace) error {
		for _, tr := range traces {
			for _, s := range tr.Spans {
				if d := s.Device; d != nil {
					devices++
					if d.Type != "veth" || d.Tenant != "" || d.Unattributed || d.NetNS.Tenant != "" || d.NetNS.Shared {
						t.Errorf("device %+v in %+v", d, d.NetNS)
					}
				}
			}
		}
		return nil
	}})
	if err != nil || summary.Events != 94 || summary.Traces != 8 || devices == 0 {
		t.Errorf("%+v, %d devices, error %v", summary, devices, err)
	}
}

// A recording of the fourth version, which knew neither where nor how long something was done
// to a packet, gives the rest.
func TestVersion4(t *testing.T) {
	f, err := os.Open("testdata/version4.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := recording.Open("version4.dwell", f)
	if err != nil {
		t.Fatal(err)
	}
	acts := 0
	summary, err := in.Replay(recording.Sink{Event: func(ev *event.Event, _ correlate.Resolver) error {
		if !ev.Hook.Acts() {
			return nil
		}
		acts++
		n := uint32(ev.Action.Verdict)
		want := event.Action{Deed: event.Deed(1 + n%4), Verdict: uint16(n), Reason: uint16(2 * n), Tenant: 3 * n, Rule: 4 * n, To: 5 * n}
		if ev.Action != want {
			t.Errorf("action %+v, want %+v", ev.Action, want)
		}
		return nil
	}})
	if err != nil || acts == 0 || int(summary.Events)/5 != acts {
		t.Errorf("%d of %d events are actions, error %v", acts, summary.Events, err)
	}
}

// A recording of the fifth version, which did not know what the fast path made of a packet, gives the
// rest: what was done, and the words for it that a firewall had.
func TestVersion5(t *testing.T) {
	f, err := os.Open("testdata/version5.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := recording.Open("version5.dwell", f)
	if err != nil {
		t.Fatal(err)
	}
	acts, words := 0, 0
	summary, err := in.Replay(recording.Sink{
		Event: func(ev *event.Event, _ correlate.Resolver) error {
			if !ev.Hook.Acts() {
				return nil
			}
			acts++
			n := uint32(ev.Action.Verdict)
			want := event.Action{
				Deed: event.Deed(1 + n%4), Verdict: uint16(n), Reason: uint16(2 * n), Tenant: 3 * n, Rule: 4 * n, To: 5 * n,
				Place: event.ActionPlace(1 + n%3), Nanoseconds: 6 * n,
			}
			if ev.Action != want || ev.Rewrite != (event.Rewrite{}) {
				t.Errorf("action %+v, want %+v; rewritten as %+v", ev.Action, want, ev.Rewrite)
			}
			return nil
		},
		Traces: func(traces []*trace.Trace) error {
			for _, tr := range traces {
				for _, s := range tr.Spans {
					for _, e := range s.Events {
						if strings.HasPrefix(e.Text(trace.AttrFirewallReason), "why-") && strings.HasPrefix(e.Text(trace.AttrRuleUUID), "rule-") {
							words++
						}
					}
				}
			}
			return nil
		},
	})
	if err != nil || acts == 0 || words == 0 || summary.Traces == 0 {
		t.Errorf("%d of %d events are actions, %d firewall's words, %d traces, error %v", acts, summary.Events, words, summary.Traces, err)
	}
}

// A recording of the sixth version, which did not know of which pings a kernel had recorded a part
// only, gives the rest.
func TestVersion6(t *testing.T) {
	f, err := os.Open("testdata/version6.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := recording.Open("version6.dwell", f)
	if err != nil {
		t.Fatal(err)
	}
	rewritten := 0
	summary, err := in.Replay(recording.Sink{Event: func(ev *event.Event, _ correlate.Resolver) error {
		if ev.Threshold != 0 {
			t.Errorf("threshold %#x", ev.Threshold)
		}
		if ev.Hook.Acts() && ev.Action.Deed == event.Redirect {
			rewritten++
			if r := &ev.Rewrite; r.Src != ev.Dst || r.Dst != ev.Src || r.ID != ev.ID {
				t.Errorf("%+v was rewritten as %+v", ev, r)
			}
		}
		return nil
	}})
	if err != nil || rewritten == 0 || summary.Traces == 0 {
		t.Errorf("%d of %d events are redirections, %d traces, error %v", rewritten, summary.Events, summary.Traces, err)
	}
}

// A recording of the seventh version, whose correlator did not wait for names, gives the same traces.
func TestVersion7(t *testing.T) {
	f, err := os.Open("testdata/version7.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, summary, err := replay(t, f)
	if err != nil || len(lines) != 10 || summary.Correlator.GivenUp != 0 {
		t.Errorf("%d traces, want 10; %+v, error %v", len(lines), summary, err)
	}
}

// Whose everything was is replayed: the traces are the same, and so are their views.
func TestTenantsAreReplayed(t *testing.T) {
	owners := func(tr *trace.Trace) (all []trace.NetNS, devices []trace.Device) {
		for _, s := range tr.Spans {
			all = append(all, *s.NetNS)
			for _, d := range []*trace.Device{s.Device, s.Peer} {
				if d != nil {
					all, devices = append(all, *d.NetNS), append(devices, *d)
					devices[len(devices)-1].NetNS = nil
				}
			}
		}
		return all, devices
	}
	var b buffer
	var want, got []*trace.Trace
	w := recording.New(&b, info, nil)
	c := w.Correlator(correlate.Options{
		Resolver: newFickle(rand.New(rand.NewPCG(1, 1))), Emit: func(tr *trace.Trace) { want = append(want, tr) },
	}, 0)
	for _, ev := range traffic(t, rand.New(rand.NewPCG(1, 2)), 40) {
		c.Add(&ev)
	}
	c.Flush()
	w.Send(0, len(want), len(want))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in, err := recording.Open("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Replay(recording.Sink{Traces: func(traces []*trace.Trace) error {
		got = append(got, traces...)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d traces, want %d", len(got), len(want))
	}
	kinds := map[string]bool{}
	for i := range want {
		spaces, devices := owners(want[i])
		spacesGot, devicesGot := owners(got[i])
		if diff := cmp.Diff(spaces, spacesGot) + cmp.Diff(devices, devicesGot); diff != "" {
			t.Fatalf("trace %d (-want +got):\n%s", i, diff)
		}
		for _, ns := range spaces {
			kinds[fmt.Sprint("namespace ", ns.Tenant != "", ns.Shared, ns.Container != nil)] = true
		}
		for _, d := range devices {
			kinds[fmt.Sprint("device ", d.Tenant != "", d.Unattributed)] = true
		}
	}
	if len(kinds) != 9 {
		t.Errorf("only %v", kinds)
	}
}

// The traffic of the property test has containers and pods in it, and traces left out.
func TestContainersAreReplayed(t *testing.T) {
	file, want := record(t, 1, 60)
	all := strings.Join(want, "")
	for _, word := range []string{"container.id", "container.name", "container.runtime", "k8s.pod.uid"} {
		if !strings.Contains(all, word) {
			t.Errorf("no %s in the traces", word)
		}
	}
	got, summary, err := replay(t, strings.NewReader(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := differ(want, got); diff != "" {
		t.Error(diff)
	}
	var finished uint64
	for _, n := range summary.Correlator.Incomplete {
		finished += n
	}
	if finished += summary.Correlator.Complete + summary.Correlator.Dropped; summary.Traces >= finished {
		t.Errorf("%d traces of %d: none is left out", summary.Traces, finished)
	}
}
