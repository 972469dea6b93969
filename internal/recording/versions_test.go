// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"os"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
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
