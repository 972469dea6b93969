// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/recording"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// info is what the recordings of these tests say of their host.
var info = recording.Info{
	Version: "1.2.3", HostID: "0123456789abcdef", HostName: "box", Kernel: "6.18.0",
	Environment: []recording.Attribute{{Key: "deployment.environment.name", Value: "test"}},
}

// pings are the paper's pings, of all seven listings.
func pings(tb testing.TB) []*listing.Listing {
	tb.Helper()
	paths, err := filepath.Glob("../study/listing/testdata/transcripts/*.txt")
	if err != nil || len(paths) != 7 {
		tb.Fatalf("%d listings, error %v", len(paths), err)
	}
	var all []*listing.Listing
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		l, err := listing.Read(path, bytes.NewReader(text), listing.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// traffic makes n pings of the paper's, which overlap in time. Some end with a drop.
func traffic(tb testing.TB, r *rand.Rand, n int) []event.Event {
	var all []event.Event
	listings := pings(tb)
	for i := range n {
		l := listings[r.IntN(len(listings))]
		at := uint64(1e15) + uint64(i)*uint64(r.IntN(3_000_000))
		keep := len(l.Events) - r.IntN(2)*r.IntN(len(l.Events))
		for k, ev := range l.Events[:keep] {
			ev.Time += at - l.Events[0].Time
			ev.SKB = 0xffff888000000000 | uint64(i)<<12
			ev.CPU, ev.Seq, ev.ID = uint16(i%4), ev.Seq+uint16(i), uint16(r.IntN(3))
			binary.BigEndian.PutUint64(ev.Payload[:], at)
			if k == keep-1 && r.IntN(3) == 0 {
				ev.Hook, ev.Code = event.KfreeSKB, uint32(2+r.IntN(3))
			}
			all = append(all, ev)
			switch r.IntN(12) {
			case 0:
				all = append(all, judged(r, ev))
			case 1:
				all = append(all, hastened(r, ev))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return all
}

// judged returns the event that a firewall's judgement of the packet of ev is.
func judged(r *rand.Rand, ev event.Event) event.Event {
	ev.Hook, ev.Code, ev.Flags, ev.Peer = event.Acted, 0, ev.Flags&^event.Paired, event.Place{}
	ev.Time++
	ev.Action = event.Action{
		Deed: event.Firewall, Verdict: uint16(r.IntN(3)), Reason: uint16(r.IntN(3)), Tenant: uint32(r.IntN(3)),
		Rule: uint32(r.IntN(4)), Place: event.ActionPlace(1 + r.IntN(3)), Nanoseconds: uint32(r.IntN(2) * 99),
	}
	return ev
}

// hastened returns the event that the fast path's doing something to the packet of ev is.
func hastened(r *rand.Rand, ev event.Event) event.Event {
	ev = judged(r, ev)
	ev.Action.Deed = event.Redirect + event.Deed(r.IntN(3))
	if ev.Action.Deed == event.Redirect {
		ev.Action.To = uint32(r.IntN(5))
		ev.Rewrite = event.Rewrite{Src: ev.Dst, Dst: ev.Src, TTL: uint8(r.IntN(64)), ID: ev.ID, LeaseMilliseconds: uint32(r.IntN(10_000))}
		if r.IntN(2) == 0 {
			ev.Rewrite.Peer = event.Place{NetNS: ev.NetNS + uint32(r.IntN(2)), IfIndex: uint32(r.IntN(5))}
		}
	}
	return ev
}

// fickle is a resolver whose names change again and again, at any question.
type fickle struct {
	r       *rand.Rand
	age     int
	spaces  map[uint32]*trace.NetNS
	devices map[[2]uint32]*trace.Device
}

func newFickle(r *rand.Rand) correlate.Resolver {
	return &fickle{r: r, spaces: map[uint32]*trace.NetNS{}, devices: map[[2]uint32]*trace.Device{}}
}

func (f *fickle) NetNS(inode uint32) *trace.NetNS {
	if f.spaces[inode] == nil || f.r.IntN(10) == 0 {
		f.age++
		f.spaces[inode] = &trace.NetNS{Inode: inode, Name: fmt.Sprintf("ns-%d", f.age), Hypervisor: inode%2 == 1}
		switch f.age % 3 {
		case 0:
			f.spaces[inode].Shared = true
		case 1:
			f.spaces[inode].Tenant = fmt.Sprintf("tenant-%d", f.age)
		}
		if f.r.IntN(2) == 0 {
			f.spaces[inode].Container = f.container()
		}
	}
	return f.spaces[inode]
}

// container is one of a pod or not.
func (f *fickle) container() *trace.Container {
	c := &trace.Container{ID: fmt.Sprintf("id-%d", f.age), Name: fmt.Sprintf("name-%d", f.age), Runtime: "cri-o"}
	if f.r.IntN(2) == 0 {
		c.Pod = trace.Pod{Name: fmt.Sprintf("pod-%d", f.age), Namespace: "default", UID: fmt.Sprintf("uid-%d", f.age)}
	}
	return c
}

func (f *fickle) Device(inode, ifindex uint32) *trace.Device {
	k := [2]uint32{inode, ifindex}
	if f.devices[k] == nil || f.r.IntN(40) == 0 {
		f.age++
		f.devices[k] = &trace.Device{
			NetNS: f.NetNS(inode), Index: ifindex, Name: fmt.Sprintf("eth-%d", f.age), Bridge: "br",
			Type: "veth", Lower: trace.Place{NetNS: inode, Index: ifindex / 2},
		}
		switch f.age % 5 {
		case 0:
			f.devices[k].Unattributed = true
		case 1:
			f.devices[k].Tenant = fmt.Sprintf("tenant-%d", f.age)
		}
	}
	return f.devices[k]
}

// named says of a quarter of the places that better names are on their way.
func (f *fickle) named(uint32, uint32, uint64) bool { return f.r.IntN(4) > 0 }

func (f *fickle) DropReason(code uint32) string { return reason(code) }

func (f *fickle) Rule(tenant, id uint32) trace.Rule {
	if f.r.IntN(3) == 0 {
		f.age++
	}
	name := fmt.Sprintf("rule-%d-%d-%d", tenant, id, f.age/3)
	return trace.Rule{Tenant: fmt.Sprintf("tenant-%d", tenant), Chain: "FORWARD", Number: id + uint32(f.age%2), UUID: name, Text: "-j DROP " + name}
}

func (f *fickle) Reason(code uint16) string { return fmt.Sprintf("why-%d-%d", code, f.age/4) }

func (f *fickle) FastPathReason(code uint16) string { return fmt.Sprintf("slow-%d-%d", code, f.age/5) }

func reason(code uint32) string { return fmt.Sprintf("REASON_%d", code) }

// lasting is a resolver whose names never change.
type lasting struct {
	spaces  map[uint32]*trace.NetNS
	devices map[[2]uint32]*trace.Device
}

func steady(*rand.Rand) correlate.Resolver {
	return &lasting{spaces: map[uint32]*trace.NetNS{}, devices: map[[2]uint32]*trace.Device{}}
}

func (l *lasting) NetNS(inode uint32) *trace.NetNS {
	if l.spaces[inode] == nil {
		l.spaces[inode] = &trace.NetNS{Inode: inode, Name: fmt.Sprintf("ns-%d", inode)}
	}
	return l.spaces[inode]
}

func (l *lasting) Device(inode, ifindex uint32) *trace.Device {
	k := [2]uint32{inode, ifindex}
	if l.devices[k] == nil {
		l.devices[k] = &trace.Device{NetNS: l.NetNS(inode), Index: ifindex, Name: fmt.Sprintf("eth-%d", ifindex)}
	}
	return l.devices[k]
}

func (*lasting) DropReason(code uint32) string { return reason(code) }

// correlator is what an agent uses of one, recorded or not.
type correlator interface {
	Add(*event.Event)
	Lost(from, to uint64)
	Advance(now uint64)
	Flush()
	Stats() correlate.Stats
}

// agent does what internal/agent does, without a kernel.
type agent struct {
	r      *rand.Rand
	c      correlator
	rec    *recording.Writer
	batch  []*trace.Trace
	limit  int
	offset int64
	lines  []string
}

// options are those of the agent's correlator. Few pings may be open, so that some are
// evicted.
func (a *agent) options(names func(*rand.Rand) correlate.Resolver) correlate.Options {
	resolver := names(a.r)
	rules, _ := resolver.(correlate.Rules)
	fastPath, _ := resolver.(correlate.FastPath)
	var named func(netns, ifindex uint32, seen uint64) bool
	if f, ok := resolver.(*fickle); ok && a.r.IntN(4) > 0 {
		named = f.named
	}
	return correlate.Options{
		Rules: rules, FastPath: fastPath, Named: named, NameWait: 10 * time.Millisecond, MaxUnnamed: 1 + a.r.IntN(8),
		Timeout: 20 * time.Millisecond, Grace: time.Millisecond, MaxOpen: 4 + a.r.IntN(40), MaxEvents: 4 + a.r.IntN(20),
		HostID: info.HostID, Start: 1e15, Resolver: resolver,
		Emit: func(t *trace.Trace) { a.batch = append(a.batch, t) },
	}
}

// live runs an agent over random traffic, recorded to w unless that is nil, and
// returns its OTLP, a line a trace. Names are fickle unless another resolver is given.
func live(tb testing.TB, seed uint64, n int, w *recording.Writer, names ...func(*rand.Rand) correlate.Resolver) []string {
	tb.Helper()
	names = append(names, newFickle)
	r := rand.New(rand.NewPCG(seed, 1))
	a := &agent{r: r, rec: w, limit: n*2 - r.IntN(n), offset: 1_700_000_000_000_000_000}
	events := traffic(tb, r, n)
	if w == nil {
		a.c = correlate.New(a.options(names[0]))
	} else {
		a.c = w.Correlator(a.options(names[0]), a.offset)
	}
	for len(events) > 0 {
		k := min(len(events), r.IntN(60))
		a.iterate(tb, events[:k])
		events = events[k:]
	}
	a.c.Flush()
	a.send(tb)
	return a.lines
}

func (a *agent) iterate(tb testing.TB, events []event.Event) {
	now := uint64(1e15)
	for i := range events {
		a.c.Add(&events[i])
		now = events[i].Time
	}
	if a.r.IntN(20) == 0 {
		a.c.Lost(now-uint64(a.r.IntN(1e6)), now)
	}
	a.c.Advance(now + uint64(a.r.IntN(1e7)))
	a.send(tb)
}

func (a *agent) send(tb testing.TB) {
	a.offset += int64(a.r.IntN(100)) - 50
	n := min(len(a.batch), a.limit-len(a.lines))
	for i, t := range a.batch[:n] {
		if t.Ping.Seq%5 == 4 { // as one that the filter's addresses do not choose
			if a.rec != nil {
				a.rec.LeaveOut(i)
			}
			continue
		}
		if t.Ping.Seq%5 == 3 { // as one that was under way when a threshold changed
			t.Threshold = uint64(t.Ping.Seq) << 32
			if a.rec != nil {
				a.rec.SetThreshold(i, t.Threshold)
			}
		}
		t.Rebase(a.offset)
		a.lines = append(a.lines, encode(tb, t))
	}
	if a.rec != nil {
		a.rec.Send(a.offset, len(a.batch), n)
	}
	a.batch = nil
}

// encode makes a line of OTLP/JSON of one trace.
func encode(tb testing.TB, t *trace.Trace) string {
	tb.Helper()
	if t.Threshold > 0 {
		said := *t
		said.State = fmt.Sprintf("ot=th:%x", t.Threshold)
		t = &said
	}
	opts := otlp.Options{Version: info.Version, Host: otlp.Host{ID: info.HostID, Name: info.HostName}}
	for _, a := range info.Environment {
		opts.Environment = append(opts.Environment, otlp.Attribute(a))
	}
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: otlp.Spans([]*trace.Trace{t}, opts)})
	if err != nil {
		tb.Fatal(err)
	}
	var u ptrace.ProtoUnmarshaler
	traces, err := u.UnmarshalTraces(b)
	if err != nil {
		tb.Fatal(err)
	}
	var m ptrace.JSONMarshaler
	line, err := m.MarshalTraces(traces)
	if err != nil {
		tb.Fatal(err)
	}
	return string(line)
}

// buffer is a file in memory.
type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// record makes a recording of n pings and returns it with the OTLP of the live run.
func record(tb testing.TB, seed uint64, n int) ([]byte, []string) {
	tb.Helper()
	var b buffer
	w := recording.New(&b, info, func(err error) { tb.Error(err) })
	lines := live(tb, seed, n, w)
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), lines
}

// replay returns the OTLP of a recording.
func replay(tb testing.TB, r io.Reader) ([]string, recording.Summary, error) {
	tb.Helper()
	batches, summary, err := replayBatches(tb, r)
	return slices.Concat(batches...), summary, err
}

// replayBatches returns the OTLP of a recording, as it was sent on.
func replayBatches(tb testing.TB, r io.Reader) (batches [][]string, summary recording.Summary, err error) {
	tb.Helper()
	in, err := recording.Open("test.rec", r)
	if err != nil {
		return nil, summary, err
	}
	summary, err = in.Replay(recording.Sink{Traces: func(ts []*trace.Trace) error {
		var lines []string
		for _, t := range ts {
			lines = append(lines, encode(tb, t))
		}
		batches = append(batches, lines)
		return nil
	}})
	return batches, summary, err
}

// differ describes the first difference of two lists of lines.
func differ(want, got []string) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%d lines, want %d", len(got), len(want))
		case i >= len(want) || want[i] != got[i]:
			return fmt.Sprintf("line %d\n%s\nwant\n%s", i, got[i], strings.Join(want[min(i, len(want)):min(i+1, len(want))], ""))
		}
	}
	return ""
}
