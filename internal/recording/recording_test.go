// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/recording"
)

// What is replayed is what was live, byte for byte: with names that change, events
// lost, pings evicted, a clock that is set, and more pings than were asked for.
func TestReplayIsLive(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed, n := rapid.Uint64().Draw(r, "seed"), rapid.IntRange(1, 25).Draw(r, "pings")
		file, want := record(t, seed, n)
		got, summary, err := replay(t, bytes.NewReader(file))
		if err != nil {
			r.Fatal(err)
		}
		if diff := differ(want, got); diff != "" {
			r.Fatal(diff)
		}
		if summary.Traces != uint64(len(want)) || summary.Events != summary.Correlator.Events {
			r.Fatalf("%d traces, want %d; %d events, the correlator saw %d",
				summary.Traces, len(want), summary.Events, summary.Correlator.Events)
		}
	})
}

// The traffic of these tests holds what they are about.
func TestTrafficIsVaried(t *testing.T) {
	var all correlate.Stats
	var events, size, lost uint64
	names := map[string]bool{}
	for seed := range uint64(5) {
		file, lines := record(t, seed, 300)
		_, summary, err := replay(t, bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		s := summary.Correlator
		all.Evicted, all.Overflow, all.Dropped, all.GivenUp = all.Evicted+s.Evicted, all.Overflow+s.Overflow, all.Dropped+s.Dropped, all.GivenUp+s.GivenUp
		lost += s.Incomplete[trace.CauseEventsLost]
		events, size = events+summary.Events, size+uint64(len(file))
		for _, l := range lines {
			for _, word := range strings.Split(l, `"`) {
				if strings.HasPrefix(word, "ns-") {
					names[word] = true
				}
			}
		}
	}
	if all.Evicted == 0 || all.Overflow == 0 || all.Dropped == 0 || lost == 0 || all.GivenUp == 0 {
		t.Errorf("nothing of some kind: %+v, %d with events lost", all, lost)
	}
	if len(names) < 100 {
		t.Errorf("only %d names", len(names))
	}
	t.Logf("%d bytes for %d events: %.1f an event", size, events, float64(size)/float64(events))
}

func TestHeader(t *testing.T) {
	file, _ := record(t, 1, 1)
	if !recording.Is(file[:16]) || recording.Is([]byte("[ 4026531957] ens")) {
		t.Error("a recording is not told from a listing")
	}
	r, err := recording.Open("f", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	if diff := cmp.Diff(info, h.Info); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if h.Clock != "CLOCK_MONOTONIC" || h.Correlator.HostID != info.HostID || h.Correlator.Start == 0 || len(h.EventFields) == 0 {
		t.Errorf("%+v", h)
	}
}

// An own key makes the same IDs again.
func TestKeyIsKept(t *testing.T) {
	var b buffer
	var want, got []trace.ID
	w := recording.New(&b, info, nil)
	opts := correlate.Options{
		Resolver: newFickle(rand.New(rand.NewPCG(1, 1))), Key: correlate.Key([]byte("0123456789abcdef")),
		Emit: func(t *trace.Trace) { want = append(want, t.ID) },
	}
	c := w.Correlator(opts, 0)
	for _, ev := range pings(t)[0].Events {
		c.Add(&ev)
	}
	c.Flush()
	w.Send(0, len(want), len(want))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open("f", &b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Replay(recording.Sink{Traces: func(ts []*trace.Trace) error {
		for _, t := range ts {
			got = append(got, t.ID)
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Events come out as they went in, and with names, before any trace has asked for them.
func TestEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := traffic(t, rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 2)), 8)
		for i := range want {
			ev := &want[i]
			drawFields(r, ev)
			ev.SKB, ev.NetNS = rapid.Uint64().Draw(r, "skb"), rapid.Uint32().Draw(r, "netns")
			ev.Time = rapid.Uint64().Draw(r, "time")
		}
		var b buffer
		w := recording.New(&b, info, nil)
		c := w.Correlator(correlate.Options{Resolver: newFickle(rand.New(rand.NewPCG(1, 1))), Emit: func(*trace.Trace) {}}, 0)
		for i := range want {
			c.Add(&want[i])
		}
		if err := w.Close(); err != nil {
			r.Fatal(err)
		}
		var got []event.Event
		in, err := recording.Open("f", &b)
		if err != nil {
			r.Fatal(err)
		}
		_, err = in.Replay(recording.Sink{Event: func(ev *event.Event, names correlate.Resolver) error {
			got = append(got, *ev)
			if name := names.NetNS(ev.NetNS).Name; !strings.HasPrefix(name, "ns-") {
				return fmt.Errorf("namespace %q", name)
			}
			d := names.Device(ev.NetNS, ev.IfIndex)
			if ev.IfIndex != 0 && (!strings.HasPrefix(d.Name, "eth-") || d.Type != "veth" || d.Lower != trace.Place{NetNS: ev.NetNS, Index: ev.IfIndex / 2}) {
				return fmt.Errorf("device %+v", d)
			}
			dropped := ev.Hook.CodeKind() == event.CodeDropReason
			if name := names.DropReason(ev.Code); dropped && name != reason(ev.Code) {
				return fmt.Errorf("drop reason %q", name)
			}
			return nil
		}})
		if err != nil {
			r.Fatal(err)
		}
		if !slices.Equal(want, got) {
			r.Fatalf("(-want +got):\n%s", cmp.Diff(want, got))
		}
	})
}

// drawFields changes some of the fields that traffic leaves alone, as often as not.
func drawFields(r *rapid.T, ev *event.Event) {
	ev.PayloadLen, ev.TTL = rapid.Uint16().Draw(r, "length"), rapid.Uint8().Draw(r, "ttl")
	if rapid.Bool().Draw(r, "threshold") {
		ev.Threshold = rapid.Uint32().Draw(r, "threshold")
	}
	for i := range ev.Tunnels {
		if rapid.Bool().Draw(r, "another tunnel") {
			ev.Tunnels[i].ID = rapid.Uint32().Draw(r, "id")
			ev.Tunnels[i].Type = rapid.SampledFrom(event.TunnelTypes()).Draw(r, "tunnel")
			ev.Depth = rapid.Uint8().Draw(r, "depth")
		}
	}
	if rapid.Bool().Draw(r, "flags") {
		ev.Flags = event.Flags(rapid.Uint16().Draw(r, "flags"))
	}
	if rapid.Bool().Draw(r, "peer") {
		ev.Peer = event.Place{NetNS: rapid.Uint32().Draw(r, "netns"), IfIndex: rapid.Uint32().Draw(r, "ifindex")}
	}
	if rapid.Bool().Draw(r, "action") {
		ev.Action = event.Action{
			Deed: event.Deed(rapid.Uint16().Draw(r, "deed")), Verdict: rapid.Uint16().Draw(r, "verdict"),
			Reason: rapid.Uint16().Draw(r, "reason"), Tenant: rapid.Uint32().Draw(r, "tenant"),
			Rule: rapid.Uint32().Draw(r, "rule"), To: rapid.Uint32().Draw(r, "to"),
			Place: event.ActionPlace(rapid.Uint16().Draw(r, "place")), Nanoseconds: rapid.Uint32().Draw(r, "ns"),
		}
	}
	if rapid.Bool().Draw(r, "rewrite") {
		address := rapid.Custom(func(r *rapid.T) (a event.Address) {
			copy(a[:], rapid.SliceOfN(rapid.Byte(), len(a), len(a)).Draw(r, "bytes"))
			return a
		})
		ev.Rewrite = event.Rewrite{
			Src: address.Draw(r, "src"), Dst: address.Draw(r, "dst"), TTL: rapid.Uint8().Draw(r, "ttl"),
			To: [6]byte(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(r, "to")), From: [6]byte{5: rapid.Uint8().Draw(r, "from")},
			ID: rapid.Uint16().Draw(r, "id"), LeaseMilliseconds: rapid.Uint32().Draw(r, "lease"), Flags: event.RewriteFlags(rapid.Uint8().Draw(r, "flags")),
			Peer: event.Place{NetNS: rapid.Uint32().Draw(r, "netns"), IfIndex: rapid.Uint32().Draw(r, "ifindex")},
		}
	}
}

// Recording does not change what it records.
func TestRecordingIsNotSeen(t *testing.T) {
	for seed := range uint64(20) {
		var b buffer
		w := recording.New(&b, info, nil)
		recorded := live(t, seed, 60, w, steady)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := differ(live(t, seed, 60, nil, steady), recorded); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestSinkEndsReplay(t *testing.T) {
	file, _ := record(t, 1, 10)
	enough := errors.New("enough")
	for _, sink := range []recording.Sink{
		{Traces: func([]*trace.Trace) error { return enough }},
		{Event: func(*event.Event, correlate.Resolver) error { return enough }},
	} {
		r, err := recording.Open("f", bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Replay(sink); !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rec")
	w, err := recording.Create(path, info, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := live(t, 1, 20, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Mode().Perm() != 0o600 || st.Size() != w.Stats().Bytes {
		t.Errorf("%v, error %v; %+v", st.Mode(), err, w.Stats())
	}
	got, _, err := replay(t, f)
	if diff := differ(want, got); diff != "" || err != nil {
		t.Errorf("error %v: %s", err, diff)
	}
	if _, err := recording.Create(filepath.Join(path, "rec"), info, nil); err == nil || !strings.Contains(err.Error(), "--record") {
		t.Errorf("error %v", err)
	}
}

// What came in is in the file a second later, though nobody closed it.
func TestFlushedInTime(t *testing.T) {
	b := &watched{wrote: make(chan struct{}, 100)}
	w := recording.New(b, info, nil)
	c := w.Correlator(correlate.Options{Resolver: newFickle(rand.New(rand.NewPCG(1, 1))), Emit: func(*trace.Trace) {}}, 0)
	<-b.wrote // the header
	ev := pings(t)[0].Events[0]
	c.Advance(ev.Time)
	c.Add(&ev)
	c.Advance(ev.Time + 1e9)
	<-b.wrote
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// watched tells of each write.
type watched struct {
	buffer
	wrote chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	defer func() { w.wrote <- struct{}{} }()
	return w.buffer.Write(p)
}

// An agent that sees nothing writes nothing.
func TestIdleIsFree(t *testing.T) {
	var b buffer
	w := recording.New(&b, info, nil)
	c := w.Correlator(correlate.Options{Resolver: newFickle(rand.New(rand.NewPCG(1, 1))), Emit: func(*trace.Trace) {}}, 0)
	for now := range uint64(100_000) {
		c.Advance(1e15 + now*20e6)
		w.Send(0, 0, 0)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 1000 {
		t.Errorf("%d bytes", b.Len())
	}
}

// BenchmarkAdd is an event on its way to the correlator, recorded or not. The pings
// are never finished, so that little else is measured.
func BenchmarkAdd(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(fmt.Sprintf("recorded=%v", recorded), func(b *testing.B) { benchmarkAdd(b, recorded) })
	}
}

func benchmarkAdd(b *testing.B, recorded bool) {
	w := recording.New(discard{}, info, nil)
	defer w.Close()
	opts := correlate.Options{Resolver: steady(nil), Emit: func(*trace.Trace) {}, MaxOpen: 16, MaxEvents: 1}
	var c correlator = correlate.New(opts)
	if recorded {
		c = w.Correlator(opts, 0)
	}
	ping := pings(b)[0].Events
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		ev := &ping[n%len(ping)]
		ev.Time += 1e5
		ev.SKB = 0xffff888000000000 | uint64(n/len(ping)%16<<8)
		binary.BigEndian.PutUint64(ev.Payload[:], uint64(n/len(ping)%16)+1)
		c.Add(ev)
		n++
	}
	if recorded {
		b.ReportMetric(float64(w.Stats().Bytes)/float64(n), "bytes/event")
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
