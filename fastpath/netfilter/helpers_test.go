// SPDX-License-Identifier: Apache-2.0

package netfilter_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// space makes a namespace for the test.
func space(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-nf-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		ns.Close()
	})
	return ns
}

// world is a namespace and the iptables in it.
type world struct {
	*testing.T
	*netfilter.Tables
	ns *netns.NS
}

// eachKind runs a test with both kinds of iptables.
func eachKind(t *testing.T, test func(*testing.T, *world)) {
	for _, kind := range []netfilter.Kind{netfilter.Legacy, netfilter.NFT} {
		t.Run(string(kind), func(t *testing.T) {
			test(t, newWorld(t, kind))
		})
	}
}

func newWorld(t *testing.T, kind netfilter.Kind) *world {
	t.Helper()
	ns := space(t)
	tables, err := netfilter.Find(t.Context(), netfilter.Options{NetNS: ns, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, tables, ns}
}

// run runs a program in the namespace, "iptables" being that of the kind.
func (w *world) run(name string, args ...string) string {
	w.Helper()
	name = strings.Replace(name, "tables", "tables-"+string(w.Kind()), 1)
	cmd := exec.CommandContext(context.Background(), "/usr/sbin/"+name, args...)
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := w.ns.Do(cmd.Start); err != nil {
		w.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		w.Fatalf("%s %v: %v: %s", name, args, err, complaints.String())
	}
	return out.String()
}

var (
	savedWhen     = regexp.MustCompile(`(?m)^#.*\n`)
	savedCounters = regexp.MustCompile(`\[\d+:\d+\]`)
)

// saved is all rules of both families, without dates and counters.
func (w *world) saved() string {
	w.Helper()
	text := w.run("iptables-save") + w.run("ip6tables-save")
	return savedCounters.ReplaceAllString(savedWhen.ReplaceAllString(text, ""), "[]")
}

func (w *world) apply(l *netfilter.Layout) {
	w.Helper()
	if err := w.Apply(w.Context(), l); err != nil {
		w.Fatal(err)
	}
}

func (w *world) installed(family header.Family) *netfilter.Installed {
	w.Helper()
	got, err := w.Installed(w.Context(), family)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func families() []header.Family { return []header.Family{header.V4, header.V6} }

// full is a layout with one of everything.
func full(family header.Family) *netfilter.Layout {
	one, many, reject := "198.51.100.7/32", "192.0.2.0/24", "icmp-port-unreachable"
	if family == header.V6 {
		one, many, reject = "2001:db8::7/128", "2001:db8:1::/64", "icmp6-port-unreachable"
	}
	return &netfilter.Layout{
		Family: family, ID: "red", Number: 0xabcdef01, Devices: []string{"br-red", "tap-red-1"},
		Bit: 1 << 31, Base: "FORWARD", Drop: true,
		Chains: []netfilter.Chain{
			{Name: "FORWARD", Rules: []netfilter.Rule{
				{ID: 1, Matches: "-s " + many + " -d " + one + " -p tcp -m tcp --dport 22", Target: "ACCEPT"},
				{ID: 2, Matches: `-m comment --comment "it\'s \"mine\" -j DROP"`, Target: "services"},
				{ID: 3, Matches: "-p udp -m udp --sport 53", Target: "services", Goto: true},
				{ID: 4, Matches: "-m conntrack --ctstate RELATED,ESTABLISHED", Target: "RETURN"},
				{ID: 5, Matches: "-m limit --limit 5/min", Target: "LOG", Options: `--log-prefix "--comment dwell:7 -j "`},
				{ID: 6, Matches: "! -i br-red -m mark --mark 0x1/0xff"},
				{ID: 7, Target: "DROP"},
			}},
			{Name: "services", Rules: []netfilter.Rule{
				{ID: 8, Matches: "-p tcp -m multiport --dports 80,443", Target: "deeper"},
				{ID: 9, Target: "REJECT", Options: "--reject-with " + reject},
			}},
			{Name: "deeper", Rules: []netfilter.Rule{{ID: 10, Matches: "-p tcp", Target: "ACCEPT"}}},
			{Name: "unused"},
		},
	}
}

// many is a layout with n rules.
func many(n int) *netfilter.Layout {
	l := &netfilter.Layout{Family: header.V4, ID: "red", Number: 7, Devices: []string{"br-red"}, Base: "FORWARD"}
	rules := make([]netfilter.Rule, n)
	for i := range rules {
		rules[i] = netfilter.Rule{
			ID: uint32(i + 1), Target: "DROP",
			Matches: fmt.Sprintf("-s 198.18.%d.%d/32 -p tcp -m tcp --dport %d", i>>8&255, i&255, 1+i%65535),
		}
	}
	l.Chains = []netfilter.Chain{{Name: "FORWARD", Rules: rules}}
	return l
}
