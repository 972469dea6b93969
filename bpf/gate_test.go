// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/dchest/siphash"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

// gatedPings sends pings past a gate and returns the events by sequence number.
func gatedPings(t *testing.T, v6 bool, to string, threshold uint32, pings int) (*recorder, map[uint16][]event.Event) {
	t.Helper()
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 1 << 20, Key: testKey}, a, b)
	b.act(r.tracer, "b0")
	p := a.pinger(v6)
	if err := r.tracer.SetGate(uint16(p.id), threshold); err != nil {
		t.Fatal(err)
	}
	over := watch(t, a)
	for seq := range pings {
		p.ping(to, seq, fmt.Appendf(nil, "payload of %7d", seq*seq))
		over()
	}
	r.drain()
	bySeq := map[uint16][]event.Event{}
	for _, e := range r.events {
		if !r.answeredButDropped(e) {
			bySeq[e.Seq] = append(bySeq[e.Seq], e)
		}
	}
	return r, bySeq
}

var testKey = [16]byte([]byte("a key of sixteen"))

// randomness is that of a ping, as the reference implementation of SipHash has it.
func randomness(seq uint16, payload [event.PayloadPrefix]byte) uint32 {
	msg := append(binary.BigEndian.AppendUint16(nil, seq), payload[:]...)
	_, hi := siphash.Hash128(binary.LittleEndian.Uint64(testKey[:]), binary.LittleEndian.Uint64(testKey[8:]), msg)
	return uint32(bits.ReverseBytes64(hi) >> 24)
}

// A ping is seen at each hook, and by another object, or at none, and its hash says which.
func TestGateLetsWholePingsThrough(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		v6       bool
	}{{"IPv4", "192.0.2.2", false}, {"IPv6", "2001:db8::2", true}} {
		t.Run(tt.name, func(t *testing.T) {
			const pings, threshold, each = 64, 3 << 30, 13
			r, bySeq := gatedPings(t, tt.v6, tt.to, threshold, pings)
			if len(bySeq) < pings/8 || len(bySeq) > pings/2 {
				t.Errorf("%d of %d pings at threshold %#x", len(bySeq), pings, threshold)
			}
			for seq, events := range bySeq {
				if len(events) != each {
					t.Errorf("seq %d: %d events, want %d:\n%s", seq, len(events), each, r.list(events))
				}
				for i := range events {
					if got := randomness(seq, events[i].Payload); got < threshold || events[i].Threshold != threshold {
						t.Errorf("seq %d: randomness %#x at threshold %#x, not %#x", seq, got, events[i].Threshold, threshold)
					}
				}
			}
			stats, err := r.tracer.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if gated, want := stats.Total().Gated, uint64(pings-len(bySeq))*each; gated < want {
				t.Errorf("%d events gated, want at least %d", gated, want)
			}
			r.sound()
		})
	}
}

// An ICMP error goes by the decision about the ping that it quotes.
func TestGateJudgesErrors(t *testing.T) {
	a, router, _ := routed(t)
	router.sysctl("net/ipv4/icmp_ratelimit", "0")
	r := record(t, Options{}, a, router)
	p := a.pinger(false)
	p.setsockopt(unix.IPPROTO_IP, unix.IP_TTL, string([]byte{1, 0, 0, 0}))
	if err := r.tracer.SetGate(uint16(p.id), 1<<31); err != nil {
		t.Fatal(err)
	}
	const pings = 32
	for seq := range pings {
		p.send("198.51.100.1", seq, fmt.Appendf(nil, "payload of %7d", seq*seq))
		p.take()
	}
	if err := r.tracer.SetGate(uint16(p.id), 0); err != nil {
		t.Fatal(err)
	}
	p.send("198.51.100.1", pings, make([]byte, 16)) // is seen, and all before are over
	isTaken := func(e *event.Event) bool {
		return e.Seq == pings && e.Hook == event.SKBCopyDatagramIovec && e.Type == event.RequestError
	}
	p.take()
	events := r.until(func(events []event.Event) bool { return count(events, isTaken) > 0 })
	requests, quoted := map[uint16]bool{}, map[uint16]bool{}
	for _, e := range events {
		if e.Type == event.RequestError {
			quoted[e.Seq] = true
		} else {
			requests[e.Seq] = true
		}
	}
	if len(requests) < pings/8 || len(requests) > pings*7/8 {
		t.Errorf("%d of %d requests at level 1", len(requests), pings)
	}
	for seq := range uint16(pings) {
		if requests[seq] != quoted[seq] {
			t.Errorf("seq %d: request seen is %t, error seen is %t", seq, requests[seq], quoted[seq])
		}
	}
}

// A gate that is shut lets nothing through.
func TestGateShut(t *testing.T) {
	if _, bySeq := gatedPings(t, false, "192.0.2.2", GateShut, 4); len(bySeq) > 0 {
		t.Errorf("pings of %v", bySeq)
	}
}

// A threshold of all gates is in force with each one's own, whichever is higher.
func TestThresholdOfAllGates(t *testing.T) {
	privileged(t)
	tracer, err := Load(Options{RingBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	expect := func(want map[uint16]uint32, others uint32) {
		t.Helper()
		table, all, err := tracer.gates.table()
		if err != nil {
			t.Fatal(err)
		}
		if all.Threshold != others {
			t.Fatalf("of all gates: %d, want %d", all.Threshold, others)
		}
		for id := range table {
			threshold, special := want[uint16(id)]
			if !special {
				threshold = others
			}
			if got := table[id].Threshold; got != threshold {
				t.Fatalf("gate %d: %d, want %d", id, got, threshold)
			}
		}
	}
	for _, err := range []error{tracer.SetGate(1, 10), tracer.SetGate(2, 30), tracer.SetThreshold(20), tracer.SetGate(3, 10), tracer.SetGate(4, 40)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	expect(map[uint16]uint32{2: 30, 4: 40}, 20)
	for _, err := range []error{tracer.SetGate(2, 0), tracer.SetThreshold(0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	expect(map[uint16]uint32{1: 10, 3: 10, 4: 40}, 0)
}

// The other gates stay open, and count what they let through.
func TestOtherGates(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 1 << 20}, a, b)
	if err := r.tracer.SetGate(1, GateShut); err != nil {
		t.Fatal(err)
	}
	p := a.pinger(false)
	p.ping("192.0.2.2", 1, []byte("0123456789abcdef"))
	r.until(delivered(1))
	counts := new([Gates]uint32)
	if err := r.tracer.Passed(counts); err != nil {
		t.Fatal(err)
	}
	stats, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := uint64(counts[p.id]), stats.Total().Emitted; got != want {
		t.Errorf("%d events passed, want %d:\n%s", got, want, r.list(r.events))
	}
	if unread, room, err := r.tracer.Unread(); err != nil || room != r.tracer.reader.rings.size()+3<<20 || unread < 0 {
		t.Errorf("%d bytes unread, room for %d, %v", unread, room, err)
	}
}

func TestGatesAfterClose(t *testing.T) {
	privileged(t)
	tracer, err := Load(Options{RingBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, unread := tracer.Unread()
	for _, err := range []error{tracer.SetGate(1, 1), tracer.SetThreshold(1), tracer.Passed(new([Gates]uint32)), unread} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// BenchmarkEcho measures what each program takes for an echo, more than an empty program at
// the same hook takes: ns/hook, and over all hooks. The kernel's own clock is in both.
func BenchmarkEcho(b *testing.B) { benchmarkEcho(b, 0) }

// BenchmarkSampledEcho measures that where one in a hundred pings is recorded.
func BenchmarkSampledEcho(b *testing.B) { benchmarkEcho(b, 0xfd70a<<12) }

func benchmarkEcho(b *testing.B, threshold uint32) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skip(err) // Linux 5.8
	}
	defer stats.Close()
	one, two := twoHosts(b)
	r := record(b, Options{RingBytes: 1 << 30}, one, two)
	if err := r.tracer.SetThreshold(threshold); err != nil {
		b.Fatal(err)
	}
	hooks := attachOrder(r.tracer.hooks)
	var empty []*ebpf.Program
	for _, hook := range hooks {
		empty = append(empty, emptyProgram(b, hook.Name))
	}
	one.flood("192.0.2.2", b.N)
	var perHook []float64
	for i, hook := range hooks {
		ours, n := spent(b, r.tracer.objs.tracepoints[i])
		theirs, _ := spent(b, empty[i])
		if n < uint64(b.N) {
			continue
		}
		perHook = append(perHook, float64(ours-theirs)/float64(n))
		b.ReportMetric(float64(ours-theirs)/float64(n), hook.Name+"-ns")
	}
	slices.Sort(perHook)
	b.ReportMetric(perHook[len(perHook)/2], "median-ns/hook")
}
