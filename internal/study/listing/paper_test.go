// SPDX-License-Identifier: Apache-2.0

package listing_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

// read reads one of the paper's listings.
func read(t *testing.T, name string) *listing.Listing {
	t.Helper()
	path := filepath.Join("testdata/transcripts", name+".txt")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := listing.Read(path, f, listing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What the paper printed, listing by listing: its pings and how each looks.
func TestListings(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events int
		// stray events are drivers' returns without a packet: flaws of the listing.
		stray uint64
		// outcomes and traces are those of its pings.
		outcomes []trace.Outcome
		traces   []string
	}{
		{name: "bridge-ovs", events: 16, outcomes: []trace.Outcome{trace.Complete}, traces: []string{`
ping 192.168.0.10 -> 8.8.8.8 seq 1
 echo request
  transmit brovsns-ns
  link brovsns-ns -> brovsns-br
  bridge brovsns-br -> ovs-br
  hypervisor ovs-br -> ens3
   forward ovs-br -> ens3
   transmit ens3
   driver ens3
 beyond ens3
 echo reply
  hypervisor ens3 -> ovs-br
   forward ens3 -> ovs-br
   transmit ovs-br
  device ovs-br -> brovsns-br
   bridge ovs-br -> brovsns-br
   transmit brovsns-br
  link brovsns-br -> brovsns-ns`}},
		{name: "bridge-namespaces", events: 20, outcomes: []trace.Outcome{trace.Incomplete, trace.Incomplete}, traces: []string{`
ping 192.168.0.10 -> 8.8.8.8 seq 1
 echo reply
  transmit brovs-host
  link brovs-host -> brovs-br
  device brovs-br -> brovsns-br
   bridge brovs-br -> brovsns-br
   transmit brovsns-br
  link brovsns-br -> brovsns-ns`, `
ping 192.168.0.10 -> 8.8.8.8 seq 2
 echo request
  transmit brovsns-ns
  link brovsns-ns -> brovsns-br
  device brovsns-br -> brovs-br
   bridge brovsns-br -> brovs-br
   transmit brovs-br
  link brovs-br -> brovs-host
  hypervisor brovs-host -> ens3
   forward brovs-host -> ens3
   transmit ens3
   driver ens3
 beyond ens3
 echo reply`}},
		{name: "nat", events: 16, outcomes: []trace.Outcome{trace.Complete}, traces: []string{`
ping 192.168.1.10 -> 8.8.8.8 seq 1
 echo request
  transmit natovsns-ns
  link natovsns-ns -> natovsns-nat
  bridge natovsns-nat -> ovs-nat
  hypervisor ovs-nat -> ens3
   forward ovs-nat -> ens3
   transmit ens3
   driver ens3
 beyond ens3
 echo reply
  hypervisor ens3 -> ovs-nat
   forward ens3 -> ovs-nat
   transmit ovs-nat
  device ovs-nat -> natovsns-nat
   bridge ovs-nat -> natovsns-nat
   transmit natovsns-nat
  link natovsns-nat -> natovsns-ns`}},
		{name: "routed", events: 20, outcomes: []trace.Outcome{trace.Complete}, traces: []string{`
ping 192.168.2.10 -> 8.8.8.8 seq 1
 echo request
  transmit rovsns-ns1
  link rovsns-ns1 -> rovsns-r1
  device rovsns-r1 -> rovs-1
   forward rovsns-r1 -> rovs-1
   transmit rovs-1
  link rovs-1 -> rovs-2
  hypervisor rovs-2 -> ens3
   forward rovs-2 -> ens3
   transmit ens3
   driver ens3
 beyond ens3
 echo reply
  hypervisor ens3 -> rovs-2
   forward ens3 -> rovs-2
   transmit rovs-2
  link rovs-2 -> rovs-1
  device rovs-1 -> rovsns-r1
   forward rovs-1 -> rovsns-r1
   transmit rovsns-r1
  link rovsns-r1 -> rovsns-ns1`}},
		{name: "routed-namespaces", events: 20, outcomes: []trace.Outcome{trace.Complete}, traces: []string{`
ping 192.168.2.10 -> 8.8.8.8 seq 1
 echo request
  transmit v-rovs-routers
  link v-rovs-routers -> v-routers-rovs
  device v-routers-rovs -> v-routers-host
   forward v-routers-rovs -> v-routers-host
   transmit v-routers-host
  link v-routers-host -> v-host-routers
  hypervisor v-host-routers -> ens3
   forward v-host-routers -> ens3
   transmit ens3
   driver ens3
 beyond ens3
 echo reply
  hypervisor ens3 -> v-host-routers
   forward ens3 -> v-host-routers
   transmit v-host-routers
  link v-host-routers -> v-routers-host
  device v-routers-host -> v-routers-rovs
   forward v-routers-host -> v-routers-rovs
   transmit v-routers-rovs
  link v-routers-rovs -> v-rovs-routers`}},
		{name: "tunnel", events: 24, outcomes: []trace.Outcome{trace.Complete}, traces: []string{`
ping 10.0.0.1 -> 10.0.0.2 seq 1
 echo request
  transmit vxlan0
  encapsulate vxlan0 -> veth0
  transmit veth0
  link veth0 -> veth1
  device veth1 -> veth2
   forward veth1 -> veth2
   transmit veth2
  link veth2 -> veth3
  decapsulate veth3 -> vxlan0
  deliver vxlan0
 echo reply
  transmit vxlan0
  encapsulate vxlan0 -> veth3
  transmit veth3
  link veth3 -> veth2
  device veth2 -> veth1
   forward veth2 -> veth1
   transmit veth1
  link veth1 -> veth0
  decapsulate veth0 -> vxlan0`}},
		{name: "tunnel-bridged", events: 23, stray: 1, outcomes: []trace.Outcome{trace.Complete}, traces: []string{`
ping 192.168.4.1 -> 192.168.4.2 seq 2
 echo request
  transmit v-vxns1-br
  link v-vxns1-br -> v-br-vxns1
  device v-br-vxns1 -> vxlan0
   bridge v-br-vxns1 -> vxlan0
   transmit vxlan0
  tunnel vxlan0 -> vxlan0
  device vxlan0 -> v-br-vxns2
   bridge vxlan0 -> v-br-vxns2
   transmit v-br-vxns2
  link v-br-vxns2 -> v-vxns2-br
  deliver v-vxns2-br
 echo reply
  transmit v-vxns2-br
  link v-vxns2-br -> v-br-vxns2
  device v-br-vxns2 -> vxlan0
   bridge v-br-vxns2 -> vxlan0
   transmit vxlan0
  tunnel vxlan0 -> vxlan0
  device vxlan0 -> v-br-vxns1
   bridge vxlan0 -> v-br-vxns1
   transmit v-br-vxns1
  link v-br-vxns1 -> v-vxns1-br`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := read(t, tt.name)
			if len(l.Events) != tt.events {
				t.Errorf("%d events, want %d", len(l.Events), tt.events)
			}
			traces, stats := l.Traces()
			if stats.Stray != tt.stray || stats.Late != 0 || stats.Overflow != 0 {
				t.Errorf("stray %d, late %d, overflow %d", stats.Stray, stats.Late, stats.Overflow)
			}
			if diff := cmp.Diff(tt.traces, outlines(traces)); diff != "" {
				t.Errorf("traces (-want +got):\n%s", diff)
			}
			var outcomes []trace.Outcome
			for _, tr := range traces {
				checkTiling(t, tr)
				outcomes = append(outcomes, tr.Outcome)
			}
			if diff := cmp.Diff(tt.outcomes, outcomes); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

// outlines returns what each trace's ping is and its spans are about, indented.
func outlines(traces []*trace.Trace) []string {
	var all []string
	for _, tr := range traces {
		out := "\n" + tr.Ping.String()
		for i := range tr.Spans[1:] {
			s := &tr.Spans[1+i]
			out += "\n" + strings.Repeat(" ", int(s.Depth)) + outline(s)
		}
		all = append(all, out)
	}
	return all
}

// outline says what a span is about: its kind, and where it begins and ends.
func outline(s *trace.Span) string {
	switch {
	case s.Title != "" && s.Kind != trace.KindDevice:
		return s.Title
	case s.Device == nil:
		return s.Kind.String()
	case s.Peer == nil:
		return s.Kind.String() + " " + s.Device.Name
	}
	return s.Kind.String() + " " + s.Device.Name + " -> " + s.Peer.Name
}

// checkTiling holds that the leaves below each journey begin with it, follow on each
// other and end with it.
func checkTiling(t *testing.T, tr *trace.Trace) {
	t.Helper()
	for i := range tr.Spans {
		j := &tr.Spans[i]
		if !j.Kind.Journey() {
			continue
		}
		at := j.Start
		for k := i + 1; k < tr.After(i); k++ {
			s := &tr.Spans[k]
			if !s.Leaf {
				continue
			}
			if s.Start != at {
				t.Errorf("%s begins at %d, the leaf before ended at %d", s, s.Start, at)
			}
			at = s.End
		}
		if at != j.End {
			t.Errorf("the leaves of %s end at %d", j, at)
		}
	}
}

// Every interval that the authors' script printed, to the nanosecond.
func TestIntervals(t *testing.T) {
	f, err := os.Open("testdata/intervals.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 2 {
		t.Fatal("no intervals")
	}
	for _, row := range rows[1:] {
		t.Run(strings.Join(row, ","), func(t *testing.T) {
			transcript, kind, from, to := row[0], row[1], row[2], row[3]
			want, err := strconv.ParseInt(row[4], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			l := read(t, transcript)
			traces, _ := l.Traces()
			var got []int64
			for _, tr := range traces {
				for i := range tr.Spans {
					if s := &tr.Spans[i]; s.Kind.String() == kind && hit(l, s.Start) == from && hit(l, s.End) == to {
						got = append(got, s.Duration())
					}
				}
			}
			if diff := cmp.Diff([]int64{want}, got); diff != "" {
				t.Errorf("durations in ns (-want +got):\n%s", diff)
			}
		})
	}
}

// hit describes the request's event of a time as intervals.csv does.
func hit(l *listing.Listing, time int64) string {
	for i := range l.Events {
		if ev := &l.Events[i]; int64(ev.Time) == time && ev.Type == event.EchoRequest {
			return ev.Hook.String() + " " + l.Device(ev.NetNS, ev.IfIndex).Name
		}
	}
	return ""
}

// The paper's script saw the receiving side's net_dev_xmit under the peer's name; no
// trace may have a step of it.
func TestPeersReturnIsNoStep(t *testing.T) {
	for _, name := range []string{"bridge-ovs", "bridge-namespaces", "nat", "routed", "routed-namespaces", "tunnel", "tunnel-bridged"} {
		l := read(t, name)
		traces, _ := l.Traces()
		ends, at := map[int64]bool{}, map[uint64]int{}
		for _, tr := range traces {
			for i := range tr.Spans {
				ends[tr.Spans[i].Start], ends[tr.Spans[i].End] = true, true
			}
		}
		for i := range l.Events {
			at[l.Events[i].Time]++
		}
		skipped := 0
		for i := range l.Events {
			ev := &l.Events[i]
			if ev.Hook != event.NetDevXmit || started(l, i) || at[ev.Time] > 1 {
				continue
			}
			skipped++
			if ends[int64(ev.Time)] {
				t.Errorf("%s: a span begins or ends at event %d, the return of %s", name, i, l.Device(ev.NetNS, ev.IfIndex).Name)
			}
		}
		if skipped == 0 {
			t.Errorf("%s: no such event: the test holds nothing", name)
		}
	}
}

// started reports whether the packet of event i was given to the device before.
func started(l *listing.Listing, i int) bool {
	xmit := &l.Events[i]
	for k := range l.Events[:i] {
		ev := &l.Events[k]
		if ev.Hook == event.NetDevStartXmit && ev.Type == xmit.Type && ev.Seq == xmit.Seq &&
			ev.NetNS == xmit.NetNS && ev.IfIndex == xmit.IfIndex {
			return true
		}
	}
	return false
}
