// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/dwelltrace/dwell/correlate/event"
)

// sendDropped sends pings that b drops, past a gate that is shut, and then one that is recorded: all are
// over then.
func sendDropped(r *recorder, p *pinger, pings int) {
	r.t.Helper()
	if err := r.tracer.SetGate(uint16(p.id), GateShut); err != nil {
		r.t.Fatal(err)
	}
	for seq := range pings {
		p.send("192.0.2.2", seq, fmt.Appendf(nil, "payload of %7d", seq))
	}
	if err := r.tracer.SetGate(uint16(p.id), 0); err != nil {
		r.t.Fatal(err)
	}
	p.send("192.0.2.2", pings, []byte("the last of them"))
	r.until(func(events []event.Event) bool {
		return count(events, func(e *event.Event) bool { return e.Hook == event.KfreeSKB && e.Seq == uint16(pings) }) > 0
	})
}

// dropping is twoHosts of which b drops all requests.
func dropping(t *testing.T) (a, b *namespace) {
	a, b = twoHosts(t)
	b.chain(nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, &expr.Verdict{Kind: expr.VerdictDrop})
	return a, b
}

// What died of pings that were left out is known by reason.
func TestLeftDrops(t *testing.T) {
	a, b := dropping(t)
	r := record(t, Options{}, a, b)
	const pings = 5
	sendDropped(r, a.pinger(false), pings)
	if diff := cmp.Diff(map[string]uint64{"NETFILTER_DROP": pings}, leftDrops(r)); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	if err := r.tracer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tracer.LeftDrops(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func leftDrops(r *recorder) map[string]uint64 {
	r.t.Helper()
	codes, err := r.tracer.LeftDrops()
	if err != nil {
		r.t.Fatal(err)
	}
	drops := map[string]uint64{}
	for code, n := range codes {
		drops[r.reasons.Name(code)] += n
	}
	return drops
}

// What would not have been recorded is not counted.
func TestLeftDropsAreFiltered(t *testing.T) {
	a, b := dropping(t)
	r := record(t, Options{}, a, b)
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{a.inode}}); err != nil {
		t.Fatal(err)
	}
	p := a.pinger(false)
	if err := r.tracer.SetGate(uint16(p.id), GateShut); err != nil {
		t.Fatal(err)
	}
	p.send("192.0.2.2", 1, []byte("is dropped at b"))
	if err := r.tracer.SetFilter(Filter{NetNS: []uint32{a.inode, b.inode}}); err != nil {
		t.Fatal(err)
	}
	sendDropped(r, p, 2)
	if diff := cmp.Diff(map[string]uint64{"NETFILTER_DROP": 2}, leftDrops(r)); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
}

// Reasons for which there is no room are counted without their names.
func TestLeftDropsOfManyReasons(t *testing.T) {
	a, b := dropping(t)
	r := record(t, Options{}, a, b)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	for reason := range r.tracer.objs.LeftDrops.MaxEntries() {
		if err := r.tracer.objs.LeftDrops.Put(1<<20+reason, make([]uint64, cpus)); err != nil {
			t.Fatal(err)
		}
	}
	sendDropped(r, a.pinger(false), 3)
	stats, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got := stats.Total().LeftDrops; got != 3 {
		t.Errorf("%d drops without a name, want 3", got)
	}
}

// What the threshold of all gates leaves out is told from what only a gate's own does.
func TestSampledOutIsNotGated(t *testing.T) {
	a, b := twoHosts(t)
	r := record(t, Options{RingBytes: 1 << 20, Key: testKey}, a, b)
	p := a.pinger(false)
	const pings, all, own = 64, 1 << 30, 3 << 30
	if err := errors.Join(r.tracer.SetGate(uint16(p.id), own), r.tracer.SetThreshold(all)); err != nil {
		t.Fatal(err)
	}
	over := watch(t, a)
	let, gated, sampled := 0, 0, 0
	for seq := range pings {
		payload := fmt.Appendf(nil, "payload of %7d", seq*seq)[:event.PayloadPrefix]
		switch random := randomness(uint16(seq), [event.PayloadPrefix]byte(payload)); {
		case random >= own:
			let++
		case random >= all:
			gated++
		default:
			sampled++
		}
		p.ping("192.0.2.2", seq, payload)
		over()
	}
	r.drain()
	each := len(r.events) / let
	if len(r.events) != each*let || each < 12 || gated == 0 || sampled == 0 {
		t.Fatalf("%d events of %d pings:\n%s", len(r.events), let, r.list(r.events))
	}
	stats, err := r.tracer.Stats()
	if err != nil {
		t.Fatal(err)
	}
	// Other pings of this machine are sampled, too.
	if sum := stats.Total(); sum.Gated != uint64(gated*each) || sum.SampledOut < uint64(sampled*each) {
		t.Errorf("%d events gated, want %d; %d sampled out, want %d or more", sum.Gated, gated*each, sum.SampledOut, sampled*each)
	}
}
