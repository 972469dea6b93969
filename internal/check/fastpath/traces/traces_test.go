// SPDX-License-Identifier: Apache-2.0

//go:build linux

package traces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/view"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// count is how many pings each test sends: the first teach, and are slow.
const count = 30

// unhurried is how long a test waits for what is going to come: this machine may have much else to do.
const unhurried = time.Minute

// host is the lab with two tenants, whose flows are all approved.
type host struct {
	t          *testing.T
	lab        *lab.Lab
	set        *tenant.Set
	hypervisor *netns.NS
	bypass     *bypass.Bypass
}

var numbers int

func newHost(t *testing.T, peer bool) *host {
	t.Helper()
	privilegetest.BPF(t)
	if err := bypass.Supported(); err != nil {
		privilegetest.Kernel(t, tooOld{err})
	}
	numbers++
	l, err := lab.Up(t.Context(), "tenants", lab.Options{Prefix: fmt.Sprintf("fp%d-%d", os.Getpid(), numbers)})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, lab: l}
	t.Cleanup(func() { h.must(l.Down(context.Background())) })
	h.set, err = tenant.NewSet([]tenant.Tenant{{ID: "red", Bridges: []string{"br-red"}}, {ID: "blue", Bridges: []string{"br-blue"}}}, nil, []string{lab.Uplink})
	h.must(err)
	h.hypervisor, err = l.Open(lab.Hypervisor)
	h.must(err)
	t.Cleanup(func() { h.must(h.hypervisor.Close()) })
	h.open(peer)
	return h
}

// tooOld is what a kernel before 6.6 does not have.
type tooOld struct{ error }

func (tooOld) NeedsNewer(string) bool { return true }

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// open opens the fast path, approves what it asks, and attends to it until the test ends.
func (h *host) open(peer bool) {
	pin := filepath.Join(h.t.TempDir(), "pin")
	b, err := bypass.Open(bypass.Options{Pin: pin, NetNS: h.hypervisor, Flows: 1024})
	h.must(err)
	h.bypass = b
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	h.t.Cleanup(func() {
		stop()
		h.must(errors.Join(<-ended, <-ended, b.Close(), bypass.Remove(pin, h.hypervisor)))
		if err := unix.Unmount(pin, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			h.t.Error(err)
		}
	})
	var tenants []bypass.Tenant
	devices := []bypass.Device{{Index: h.index(lab.Hypervisor, lab.Uplink), Name: lab.Uplink}}
	for i, id := range []string{"red", "blue"} {
		slot := uint16(i + 1)
		tenants = append(tenants, bypass.Tenant{Slot: slot, Number: h.set.Number(id), Mode: flow.On, Capacity: 100})
		port := "tap-" + id + "-0"
		inode, _ := h.lab.NetNS(id)
		devices = append(devices, bypass.Device{
			Index: h.index(lab.Hypervisor, port), Name: port, Port: true, Slot: slot, Master: h.index(lab.Hypervisor, "br-"+id),
			Peer: peer, PeerNetNS: inode, PeerIndex: h.index(id, id+"0"),
		})
	}
	h.must(errors.Join(b.SetLease(unhurried), b.SetTenants(tenants), b.SetDevices(devices), b.Beat()))
	b.Hold(false)
	go func() { ended <- b.Candidates(ctx, h.approve) }()
	go func() {
		beat := time.NewTicker(500 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-beat.C:
				if err := b.Beat(); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
}

// approve approves a flow, unless it is gone.
func (h *host) approve(c bypass.Candidate) {
	forth, back, err := h.bypass.Look(c)
	if err == nil {
		err = h.bypass.Approve(forth, back, h.bypass.Approval())
	}
	if err != nil && !errors.Is(err, bypass.ErrGone) {
		h.t.Error(err)
	}
}

// index returns that of a device.
func (h *host) index(role, name string) (index int) {
	h.t.Helper()
	ns, err := h.lab.Open(role)
	h.must(err)
	defer ns.Close()
	h.must(ns.Do(func() error {
		d, err := net.InterfaceByName(name)
		if err == nil {
			index = d.Index
		}
		return err
	}))
	return index
}

// traced pings from one tenant's guest and returns the traces, in their order.
func (h *host) traced(from string, to netip.Addr) []*trace.Trace {
	h.t.Helper()
	var inodes []uint32
	for _, role := range h.lab.Topology().Roles() {
		inode, _ := h.lab.NetNS(role)
		inodes = append(inodes, inode)
	}
	hypervisor, _ := h.lab.NetNS(lab.Hypervisor)
	var traces []*trace.Trace
	a, err := agent.Start(agent.Options{
		Filter: bpf.Filter{NetNS: inodes}, Hypervisors: []uint32{hypervisor}, Netfilter: []*netns.NS{h.hypervisor},
		Tenants: h.set, FastPath: ruletrace.NewFastPath(h.bypass), Count: count, Timeout: unhurried,
		OnTrace: func(tr *trace.Trace) { traces = append(traces, tr) },
	})
	h.must(err)
	ctx, stop := context.WithTimeout(h.t.Context(), 2*unhurried)
	defer stop()
	pinged := make(chan error, 1)
	go func() { pinged <- h.ping(ctx, from, to) }()
	_, err = a.Run(ctx)
	h.must(errors.Join(err, <-pinged))
	slices.SortFunc(traces, func(a, b *trace.Trace) int { return int(a.Ping.Seq) - int(b.Ping.Seq) })
	return traces
}

func (h *host) ping(ctx context.Context, from string, to netip.Addr) error {
	ns, err := h.lab.Open(from)
	if err != nil {
		return err
	}
	defer ns.Close()
	_, err = pinger.Run(ctx, pinger.Config{NetNS: ns, Target: to, Count: count, Interval: 50 * time.Millisecond, Timeout: unhurried})
	return err
}

// A ping that the fast path takes is one leaf in each hypervisor span, whole and complete, whether its
// reply is given to the guest's port or to the guest's own device; those before it say why they were
// left to the kernel and what was learnt. The tenant sees all of it, and the other nothing.
func TestFastPings(t *testing.T) {
	topology, err := lab.Find("tenants")
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range []bool{false, true} {
		for family, to := range map[string]netip.Addr{
			"IPv4 with NAT": topology.Target4, "IPv6": topology.Target6,
		} {
			t.Run(fmt.Sprintf("%s, to the peer %t", family, peer), func(t *testing.T) {
				h := newHost(t, peer)
				traces := h.traced("red", to)
				if len(traces) != count {
					t.Fatalf("%d traces of %d pings", len(traces), count)
				}
				reasons, learnt, fast := map[string]int{}, 0, 0
				for _, tr := range traces {
					if err := tracetest.CheckTree(tr); err != nil || tr.Outcome != trace.Complete {
						t.Errorf("%v, %s\n%s", err, tr.Outcome, draw(t, tr))
					}
					for i := range tr.Spans {
						for _, e := range tr.Spans[i].Events {
							switch e.Name {
							case trace.EventFallback:
								reasons[e.Text(trace.AttrFastPathReason)]++
							case trace.EventLearn:
								learnt++
							}
						}
					}
					if tr.TookFastPath() {
						fast++
						h.checkFast(tr, peer)
					}
				}
				// How soon they are depends on when this process runs and approves the flow.
				if last := traces[count-1]; !last.TookFastPath() || fast < 2 {
					t.Errorf("%d of %d pings are fast; the last is\n%s", fast, count, draw(t, last))
				}
				if reasons["unknown"] == 0 || reasons["unapproved"]+reasons["unconfirmed"] == 0 || learnt == 0 {
					t.Errorf("left to the kernel: %v; learnt from %d; the first is\n%s", reasons, learnt, draw(t, traces[0]))
				}
			})
		}
	}
}

// checkFast checks the journeys of a ping that the fast path took, and the views of it.
func (h *host) checkFast(tr *trace.Trace, peer bool) {
	h.t.Helper()
	kinds := func(tr *trace.Trace) (all []string) {
		for i := range tr.Spans {
			if s := &tr.Spans[i]; s.Leaf {
				all = append(all, s.Kind.String())
			}
		}
		return all
	}
	want := []string{"transmit", "link", "fast path", "link", "deliver", "transmit", "link", "fast path", "link", "deliver"}
	if peer {
		want = slices.Delete(want, 8, 9)
	}
	got := slices.Compact(slices.DeleteFunc(kinds(tr), func(k string) bool { return k == "softirq wait" }))
	for i, k := range got {
		if k == "stack" {
			got[i] = "deliver"
		}
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("leaves %v, want %v\n%s", got, want, draw(h.t, tr))
	}
	red := view.Viewer{Tenant: "red", Number: h.set.Number("red"), Foreign: h.set.Foreign("red"), ForeignBridge: h.set.ForeignBridge("red")}
	blue := view.Viewer{Tenant: "blue", Number: h.set.Number("blue")}
	if seen := red.Of(tr); seen == nil || strings.Count(draw(h.t, seen), "of its lease left") != 2 {
		h.t.Errorf("red sees\n%s", draw(h.t, seen))
	}
	if seen := blue.Of(tr); seen != nil {
		h.t.Errorf("blue sees\n%s", draw(h.t, seen))
	}
}

func draw(t *testing.T, tr *trace.Trace) string {
	t.Helper()
	if tr == nil {
		return "nothing"
	}
	var b bytes.Buffer
	if err := waterfall.Write(&b, tr, waterfall.Options{Width: 120}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
