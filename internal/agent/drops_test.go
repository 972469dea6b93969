// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// The places where packet filters drop.
var (
	forward    = hook{nftables.TableFamilyINet, nftables.ChainHookForward, nftables.ChainPriorityFilter}
	input      = hook{nftables.TableFamilyINet, nftables.ChainHookInput, nftables.ChainPriorityFilter}
	output     = hook{nftables.TableFamilyINet, nftables.ChainHookOutput, nftables.ChainPriorityFilter}
	switched   = hook{nftables.TableFamilyBridge, nftables.ChainHookForward, nftables.ChainPriorityFilter}
	bridgeUp   = hook{nftables.TableFamilyBridge, nftables.ChainHookInput, nftables.ChainPriorityFilter}
	bridgeDown = hook{nftables.TableFamilyBridge, nftables.ChainHookOutput, nftables.ChainPriorityFilter}
	bridgeIn   = hook{nftables.TableFamilyBridge, nftables.ChainHookPrerouting, nftables.ChainPriorityFilter}
)

// gateway is the outside, as the hypervisor sees it.
var gateway = netip.MustParseAddr("192.168.122.1")

// nobody is an Ethernet address that no device has.
var nobody = net.HardwareAddr{2, 0xde, 0xad, 0xbe, 0xef, 1}

// death is where a packet died, as OTLP tells it.
type death struct {
	reason, direction string
	// place names the spans from below the journey to the leaf.
	place, service string
}

// drops lists a way to die after the other, as Linux 6.18 calls it. A kernel that does not
// have the reason yet says NOT_SPECIFIED.
var drops = []struct {
	name, topology string
	v6             bool
	// size of the payload, the usual one if 0.
	size  int
	spoil func(t *testing.T, l *lab.Lab)
	want  death
	// with is a reason that is as old as the use of the wanted one at this place.
	with string
}{
	{
		name: "filter", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).drop(forward, "ovs-br") },
		want:  death{"NETFILTER_DROP", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "filter", topology: "bridge", v6: true,
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).drop(forward, "ovs-br") },
		want:  death{"NETFILTER_DROP", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "filter for the reply", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).drop(forward, "ens3") },
		want:  death{"NETFILTER_DROP", "reply", "hypervisor > forward > stack", "hypervisor"},
	},
	{
		name: "filter at the sender", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Guest).drop(output, "") },
		want:  death{"NETFILTER_DROP", "request", "", "guest"},
	},
	{
		name: "filter before the reply leaves", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Outside).drop(output, "") },
		want:  death{"NETFILTER_DROP", "reply", "", "outside"},
	},
	{
		name: "filter at the receiver", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Outside).drop(input, "outside0") },
		want:  death{"NETFILTER_DROP", "request", "device outside > forward > stack", "outside"},
	},
	{
		name: "filter where the reply arrives", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Guest).drop(input, "brovsns-ns") },
		want:  death{"NETFILTER_DROP", "reply", "deliver > stack", "guest"},
	},
	{
		name: "filter for tunnel packets", topology: "vxlan",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Router).drop(forward, "veth1") },
		want:  death{"NETFILTER_DROP", "request", "device router > forward > stack", "router"},
	},
	{
		name: "bridge filter", topology: "bridge-namespaces",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Switch).drop(switched, "brovsns-br") },
		want:  death{"NETFILTER_DROP", "request", "bridge brovs > stack", "bridge"},
	},
	{
		name: "bridge filter for the reply", topology: "bridge-namespaces",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Switch).drop(switched, "brovs-br") },
		want:  death{"NETFILTER_DROP", "reply", "bridge brovs > stack", "bridge"},
	},
	{
		name: "bridge filter at the port", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).drop(bridgeIn, "brovsns-br") },
		want:  death{"NETFILTER_DROP", "request", "bridge ovs-br > stack", "hypervisor"},
	},
	{
		name: "bridge filter on the way up", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).drop(bridgeUp, "brovsns-br") },
		want:  death{"NETFILTER_DROP", "request", "bridge ovs-br > stack", "hypervisor"},
	},
	{
		name: "bridge filter on the way down", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).drop(bridgeDown, "") },
		want:  death{"NETFILTER_DROP", "reply", "bridge ovs-br", "hypervisor"},
	},
	{
		name: "bridge port that still listens", topology: "bridge-namespaces",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Switch).plugIn("brovsns-br", "brovs") },
		want:  death{"BRIDGE_INGRESS_STP_STATE", "request", "bridge brovs > stack", "bridge"},
	},
	{
		name: "bridge ports isolated", topology: "bridge-namespaces",
		spoil: func(t *testing.T, l *lab.Lab) {
			p := at(t, l, lab.Switch)
			p.must(p.nl.LinkSetIsolated(p.link("brovsns-br"), true))
			p.must(p.nl.LinkSetIsolated(p.link("brovs-br"), true))
		},
		want: death{"NOT_SPECIFIED", "request", "bridge brovs > stack", "bridge"},
	},
	{
		name: "bridge without the other port", topology: "bridge-namespaces",
		spoil: func(t *testing.T, l *lab.Lab) {
			p := at(t, l, lab.Switch)
			p.must(p.nl.LinkSetNoMaster(p.link("brovs-br")))
		},
		want: death{"NO_TX_TARGET", "request", "bridge brovs > stack", "bridge"}, with: "BRIDGE_INGRESS_STP_STATE",
	},
	{
		name: "no route", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).noRoute("0.0.0.0/0") },
		want:  death{"IP_INNOROUTES", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "no route", topology: "bridge", v6: true,
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).noRoute("::/0") },
		want:  death{"IP_INNOROUTES", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "no route back", topology: "routed",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).noRoute("192.168.2.0/24") },
		want:  death{"IP_INADDRERRORS", "reply", "device outside > forward > stack", "outside"},
	},
	{
		name: "too big", topology: "bridge", size: 1400,
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).mtu("ens3", 1000) },
		want:  death{"PKT_TOO_BIG", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "too big for the other end", topology: "bridge", size: 1400,
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Outside).mtu("outside0", 1000) },
		want:  death{"NOT_SPECIFIED", "request", "hypervisor > driver ens3", "hypervisor"},
	},
	{
		name: "link down here", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Hypervisor).down("ens3") },
		want:  death{"IP_INNOROUTES", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "link down there", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) {
			at(t, l, lab.Hypervisor).impatient("ens3")
			at(t, l, lab.Outside).down("outside0")
			at(t, l, lab.Hypervisor).awaitNoCarrier("ens3")
		},
		want: death{"NEIGH_FAILED", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "link down there, neighbour known for good", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) {
			out := at(t, l, lab.Outside)
			at(t, l, lab.Hypervisor).neighbour("ens3", gateway, out.hardware("outside0"))
			out.down("outside0")
			at(t, l, lab.Hypervisor).awaitNoCarrier("ens3")
		},
		want: death{"QDISC_DROP", "request", "hypervisor > queue ens3", "hypervisor"},
	},
	{
		name: "link down at the guest", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) {
			at(t, l, lab.Guest).impatient("brovsns-ns")
			at(t, l, lab.Hypervisor).down("brovsns-br")
			at(t, l, lab.Guest).awaitNoCarrier("brovsns-ns")
		},
		want: death{"NEIGH_FAILED", "request", "", "guest"},
	},
	{
		name: "wrong Ethernet address", topology: "routed",
		spoil: func(t *testing.T, l *lab.Lab) {
			at(t, l, lab.Guest).neighbour("rovsns-ns1", netip.MustParseAddr("192.168.2.1"), nobody)
		},
		want: death{"OTHERHOST", "request", "device router > forward > stack", "router"},
	},
	{
		name: "nobody at the next hop", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) {
			at(t, l, lab.Outside).arp("outside0", false)
			p := at(t, l, lab.Hypervisor)
			p.impatient("ens3")
			p.forget("ens3")
		},
		want: death{"NEIGH_FAILED", "request", "hypervisor > forward", "hypervisor"},
	},
	{
		name: "reverse path", topology: "bridge",
		spoil: func(t *testing.T, l *lab.Lab) {
			p := at(t, l, lab.Outside)
			p.sysctl("ipv4/conf/outside0/rp_filter", "1")
			dst, err := netlink.ParseIPNet("192.168.122.208/32")
			p.must(err)
			p.must(p.nl.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE}))
		},
		want: death{"IP_RPFILTER", "request", "device outside > forward > stack", "outside"},
	},
	{
		name: "tunnel that the other end does not know", topology: "vxlan",
		spoil: func(t *testing.T, l *lab.Lab) { at(t, l, lab.Remote).retunnel("vxlan0", 43) },
		want:  death{"VXLAN_VNI_NOT_FOUND", "request", "device remote > forward > stack", "remote"},
	},
	{
		name: "no tunnel at the other end", topology: "vxlan",
		spoil: func(t *testing.T, l *lab.Lab) {
			p := at(t, l, lab.Remote)
			p.must(p.nl.LinkDel(p.link("vxlan0")))
		},
		want: death{"NO_SOCKET", "request", "device remote > forward > stack", "remote"},
	},
	{
		name: "nobody waits for the reply", topology: "bridge", spoil: nothing,
		want: death{"NO_SOCKET", "reply", "deliver > stack", "guest"},
	},
	{
		name: "nobody waits for the reply", topology: "bridge", v6: true, spoil: nothing,
		want: death{"NO_SOCKET", "reply", "deliver > stack", "guest"},
	},
}

func nothing(*testing.T, *lab.Lab) {}

func TestDropsTellReasonAndPlace(t *testing.T) {
	t.Parallel()
	privilegetest.BPF(t)
	known := knownReasons(t)
	for _, d := range drops {
		if !known[d.want.reason] || d.with != "" && !known[d.with] {
			d.want.reason = "NOT_SPECIFIED"
		}
		name := fmt.Sprintf("%s, %s", d.topology, d.name)
		if d.v6 {
			name += ", IPv6"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := up(t, d.topology)
			d.spoil(t, l)
			guest := at(t, l, lab.Guest)
			e := echo{target: l.Target(d.v6), id: 77, seq: 1, payload: clockPayload(max(d.size, 56))}
			onEvent, died := ended(1, func(*event.Event) bool { return true })
			roots, sum := exported(t, []*lab.Lab{l}, agent.Options{OnEvent: onEvent}, func() {
				if err := guest.send(e); err != nil {
					t.Logf("send: %v", err) // the sender is told of some of its own drops
				}
				await(t, died)
			})
			if len(roots) != 1 || sum.Dropped[d.want.reason] != 1 {
				t.Fatalf("%s\n%v", sum, roots)
			}
			checkDeath(t, roots[0], d.want)
		})
	}
}

// knownReasons returns the drop reasons that the running kernel has.
func knownReasons(t *testing.T) map[string]bool {
	t.Helper()
	reasons, err := bpf.LoadDropReasons(kernelTypes)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for code := range uint32(1 << 10) { // those of the core: 6.18 has 130
		known[reasons.Name(code)] = true
	}
	return known
}

// clockPayload is what ping sends: a clock, and then a filler.
func clockPayload(size int) []byte {
	now := time.Now()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	copy(b, fmt.Sprintf("%d.%09d", now.Unix()%1e6, now.Nanosecond()))
	return b
}

// checkDeath holds a trace of a dropped packet against what it must say: reason and
// place on the leaf, and the reason on all that are around it.
func checkDeath(t *testing.T, root *node, want death) {
	t.Helper()
	checkTiling(t, root)
	if got := root.attr(trace.AttrOutcome); got != trace.Dropped.String() {
		t.Errorf("outcome %q", got)
	}
	failed := failures(t, root, want.reason)
	if len(failed) < 2 || failed[0] != root {
		t.Fatalf("%d spans with an error in\n%s", len(failed), root)
	}
	journey, leaf := failed[1], failed[len(failed)-1]
	got := death{direction: strings.TrimPrefix(journey.attr(trace.AttrKind), "echo "), service: leaf.service}
	var names []string
	for _, n := range failed[2:] {
		names = append(names, n.Name())
	}
	got.place = strings.Join(names, " > ")
	for _, n := range root.all() {
		for _, e := range n.events(trace.EventDrop) {
			if n != leaf || len(n.children) > 0 || e.Timestamp() != n.EndTimestamp() || e.Timestamp() != journey.EndTimestamp() {
				t.Errorf("%s: a drop that is not the end of the journey's last leaf", n.Name())
			}
			got.reason += text(e.Attributes(), trace.AttrDropReason)
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(death{})); diff != "" {
		t.Errorf("%s in\n%s", diff, root)
	}
}

// failures returns the spans that have an error, which must be for the same reason and
// each the parent of the next.
func failures(t *testing.T, root *node, reason string) []*node {
	t.Helper()
	var failed []*node
	for _, n := range root.all() {
		if n.Status().Code() != ptrace.StatusCodeError {
			continue
		}
		if got := n.attr(trace.AttrErrorType); got != reason {
			t.Errorf("%s: %s is %q", n.Name(), trace.AttrErrorType, got)
		}
		if len(failed) > 0 && failed[len(failed)-1].SpanID() != n.ParentSpanID() {
			t.Errorf("%s is not right above %s", failed[len(failed)-1].Name(), n.Name())
		}
		failed = append(failed, n)
	}
	return failed
}
