// SPDX-License-Identifier: Apache-2.0

//go:build linux

package firewalltrace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/exporter/view"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/check/collectortest"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/ruletrace"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// outside is what both tenants ping.
const outside = "192.168.122.1"

// place is a way in which a rule of red drops its pings to the outside.
type place struct {
	name string
	// rule is what red says, and alone is set if this host has no programs.
	rule  string
	alone bool
	// reason is the kernel's, want what the Collector gets of the rule that decided: the event's
	// attributes, apart from those that are numbers of this run.
	reason, status string
	want           map[string]string
	// drawn is in the waterfall.
	drawn string
}

func places() []place {
	const icmp = "-s 192.168.0.10 -d " + outside + " -p icmp"
	event := func(verdict, where, reason, text string) map[string]string {
		e := map[string]string{
			trace.AttrRuleCategory: "firewall", trace.AttrRuleName: "FORWARD 2", trace.AttrRuleDescription: text,
			trace.AttrRulesetName: "red", trace.AttrTenantID: "red", trace.AttrFirewallChain: "FORWARD", trace.AttrFirewallRule: "2",
			trace.AttrFirewallVerdict: verdict, trace.AttrFirewallPlace: where,
		}
		if reason != "" {
			e[trace.AttrFirewallReason] = reason
		}
		return e
	}
	const saved = "-s 192.168.0.10/32 -d " + outside + "/32 -p icmp"
	return []place{
		{
			name: "TC", rule: icmp + " -j DROP", reason: "TC_INGRESS", status: "because of red's FORWARD rule 2 (tc)",
			want: event("drop", "tc", "", saved+" -j DROP"), drawn: "✗ dropped by red's FORWARD rule 2 (tc) in ",
		},
		{
			name: "FORWARD", rule: icmp + " -m conntrack --ctstate NEW -j DROP", reason: "NETFILTER_DROP", status: "because of red's FORWARD rule 2 (forward)",
			want: event("drop", "forward", "", saved+" -m conntrack --ctstate NEW -j DROP"), drawn: "✗ dropped by red's FORWARD rule 2 (forward) in ",
		},
		{
			name: "iptables", rule: icmp + " -j DROP", alone: true, reason: "NETFILTER_DROP", status: "because of red's FORWARD rule 2 (iptables)",
			want: event("drop", "iptables", "", saved+" -j DROP"), drawn: "✗ dropped by red's FORWARD rule 2 (iptables)",
		},
		{
			name: "an unknown match", rule: icmp + " -m statistic --mode nth --every 1 --packet 0 -j DROP", reason: "NETFILTER_DROP",
			want:  event("unknown", "iptables", "match", saved+" -m statistic --mode nth --every 1 --packet 0 -j DROP"),
			drawn: "◆ perhaps dropped by red's FORWARD rule 2 or a later one (iptables): match",
		},
	}
}

// A ping that a rule of red drops is in the Collector with the rule, wherever that is; blue, whose
// guest has the same address, loses nothing and is told nothing of the rule.
func TestDropByRule(t *testing.T) {
	privilegetest.BPF(t)
	h := newHost(t)
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) { h.run(t, p) })
	}
}

// host is the lab, with two tenants.
type host struct {
	lab        *lab.Lab
	set        *tenant.Set
	hypervisor *netns.NS
}

func newHost(t *testing.T) *host {
	t.Helper()
	l, err := lab.Up(t.Context(), "tenants", lab.Options{Prefix: fmt.Sprint("ft", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h := &host{lab: l}
	prefix := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24")}
	if h.set, err = tenant.NewSet([]tenant.Tenant{
		{ID: "red", Bridges: []string{"br-red"}, Prefixes: prefix}, {ID: "blue", Bridges: []string{"br-blue"}, Prefixes: prefix},
	}, nil, []string{lab.Uplink}); err != nil {
		t.Fatal(err)
	}
	if h.hypervisor, err = l.Open(lab.Hypervisor); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.hypervisor.Close() })
	return h
}

// firewall puts the rule in force as red's second.
func (h *host) firewall(t *testing.T, p place) *ruletrace.Firewall {
	t.Helper()
	dir := t.TempDir()
	m, err := firewall.New(firewall.Options{
		StateDir: filepath.Join(dir, "state"), Pin: filepath.Join(dir, "bpf"), NetNS: h.hypervisor, WithoutPrograms: p.alone,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(m.Flush(context.Background(), "red"), m.Close())
		if unmounted := unix.Unmount(filepath.Join(dir, "bpf"), 0); unmounted != nil && !errors.Is(unmounted, unix.EINVAL) && !errors.Is(unmounted, unix.ENOENT) {
			err = errors.Join(err, unmounted)
		}
		if err != nil {
			t.Error(err)
		}
	})
	m.SetTenants(h.set)
	if err := m.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{"-s 192.0.2.1 -j DROP", p.rule} {
		words := strings.Fields("iptables -A FORWARD " + rule)
		answer, err := m.Do(t.Context(), firewall.Request{Tenant: "red", Words: words, Operator: true})
		if err != nil || answer.Place == firewall.Refused {
			t.Fatalf("%s: %+v, %v", rule, answer, err)
		}
	}
	f, err := ruletrace.New(m, h.hypervisor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// run traces a ping of red and one of blue while the rule is in force.
func (h *host) run(t *testing.T, p place) {
	f := h.firewall(t, p)
	c := collectortest.Start(t)
	var traces []*trace.Trace
	a, err := agent.Start(agent.Options{
		Filter: bpf.Filter{NetNS: h.inodes(t, h.lab.Topology().Roles()...)}, Hypervisors: h.inodes(t, lab.Hypervisor),
		Netfilter: []*netns.NS{h.hypervisor}, Tenants: h.set, Firewall: f, Count: 2, Timeout: 3 * time.Second,
		OnTrace: func(tr *trace.Trace) { traces = append(traces, tr) },
		Open: func() (agent.Sinks, error) {
			e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: c.GRPC})
			return agent.Sinks{Exporter: e}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	pinged := make(chan error, 2)
	for _, from := range []string{"blue", "red"} {
		go func() { pinged <- h.ping(ctx, from) }()
	}
	if _, err := a.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := errors.Join(<-pinged, <-pinged); err != nil {
		t.Error(err)
	}
	p.checkViews(t, h.set, traces)
	p.checkReceived(t, c.Stop(t))
}

func (h *host) inodes(t *testing.T, roles ...string) []uint32 {
	t.Helper()
	var all []uint32
	for _, role := range roles {
		inode, name := h.lab.NetNS(role)
		if name == "" {
			t.Fatalf("there is no %s", role)
		}
		all = append(all, inode)
	}
	return all
}

// ping pings the outside once.
func (h *host) ping(ctx context.Context, from string) error {
	ns, err := h.lab.Open(from)
	if err != nil {
		return err
	}
	defer ns.Close()
	_, err = pinger.Run(ctx, pinger.Config{NetNS: ns, Target: netip.MustParseAddr(outside), Count: 1, Timeout: time.Second})
	return err
}

// checkViews compares the waterfalls of operator, red and blue.
func (p place) checkViews(t *testing.T, set *tenant.Set, traces []*trace.Trace) {
	t.Helper()
	for _, tr := range traces {
		for _, who := range []string{"operator", "red", "blue"} {
			seen := tr
			if who != "operator" {
				v := view.Viewer{Tenant: who, Number: set.Number(who), Foreign: set.Foreign(who), ForeignBridge: set.ForeignBridge(who)}
				if seen = v.Of(tr); seen == nil {
					continue
				}
			}
			var drawn bytes.Buffer
			if err := waterfall.Write(&drawn, seen, waterfall.Options{Width: 160}); err != nil {
				t.Fatal(err)
			}
			mine := tr.Tenant() == "red"
			if strings.Contains(drawn.String(), p.drawn) != (mine && who != "blue") || !mine && strings.Contains(drawn.String(), "FORWARD rule") {
				t.Errorf("%s sees of a ping of %s\n%s", who, tr.Tenant(), &drawn)
			}
		}
	}
}

// checkReceived compares what a Collector has received.
func (p place) checkReceived(t *testing.T, received []*tracepb.ResourceSpans) {
	t.Helper()
	var events []map[string]string
	outcomes := map[string]string{}
	statuses := 0
	for _, rs := range received {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				attrs := attributes(s.Attributes)
				if id := attrs[trace.AttrOutcome]; id != "" {
					outcomes[attrs[trace.AttrTenantID]] = id + " " + attrs[trace.AttrErrorType]
				}
				if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
					statuses++
					if !strings.HasSuffix(s.Status.Message, p.reason+p.because()) || attrs[trace.AttrRuleName] != p.named() {
						t.Errorf("span %s has status %q and rule %q", s.Name, s.Status.Message, attrs[trace.AttrRuleName])
					}
				}
				events = append(events, p.decisive(s)...)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"red": "dropped " + p.reason, "blue": "complete "}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]map[string]string{p.want}, events); diff != "" {
		t.Errorf("events of the rule (-want +got):\n%s", diff)
	}
	if statuses < 3 {
		t.Errorf("only %d spans have an error", statuses)
	}
}

// because returns the end of a status, and named the rule in a span's attributes.
func (p place) because() string {
	if p.status == "" {
		return ""
	}
	return ", " + p.status
}

func (p place) named() string {
	if p.status == "" {
		return ""
	}
	return p.want[trace.AttrRuleName]
}

// decisive returns the attributes of a span's events that say what became of a packet, without
// numbers that differ from run to run.
func (p place) decisive(s *tracepb.Span) []map[string]string {
	var all []map[string]string
	for _, e := range s.Events {
		attrs := attributes(e.Attributes)
		if e.Name != trace.EventFirewall || !slices.Contains([]string{trace.VerdictDrop, trace.VerdictUnknown}, attrs[trace.AttrFirewallVerdict]) {
			continue
		}
		for _, key := range []string{trace.AttrTenantNumber, trace.AttrRule, trace.AttrRuleUUID} {
			if attrs[key] == "" {
				attrs["missing"] = key
			}
			delete(attrs, key)
		}
		delete(attrs, trace.AttrFirewallNS)
		all = append(all, attrs)
	}
	return all
}
