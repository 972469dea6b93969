// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// A dry run answers as the command would, and changes nothing.
func TestDryRun(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		words := strings.Fields("iptables -A FORWARD -p udp --dport 1000 -j DROP")
		a, err := w.Do(t.Context(), Request{Tenant: "red", Words: words, DryRun: true})
		if err != nil || a.Place == Refused || !a.DryRun || a.Command != "iptables -A FORWARD -p udp -m udp --dport 1000 -j DROP" {
			t.Errorf("%+v, %v", a, err)
		}
		r, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: oldRules, DryRun: true})
		if err != nil || !r.Done || len(r.Answers) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		w.nothing()
		if _, err := os.Stat(w.store.path("red", header.V4)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is a file: %v", err)
		}
		if !w.outwards(1000) {
			t.Error("dropped")
		}
	})
}

// Every command that iptables has for chains, as it is typed; what it means is the tenant's.
func TestCommands(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.do("iptables -N web")
		w.do("iptables -A web -p udp --dport 1000 -j ACCEPT")
		w.do("iptables -A web -j DROP")
		w.do("iptables -A FORWARD -p udp -m multiport --dports 1000,1001 -j web")
		w.do("iptables -A FORWARD -p udp --dport 1000 -j DROP")
		for port, want := range map[uint16]bool{1000: true, 1001: false, 1002: true} {
			if got := w.outwards(port); got != want {
				t.Errorf("port %d passes: %v", port, got)
			}
		}
		w.do("iptables -I web 1 -p udp --dport 1001 -j RETURN")
		w.do("iptables -R web 2 -p udp --dport 1000 -j RETURN")
		if got := w.outwards(1001); !got {
			t.Error("port 1001 is dropped")
		}
		if got := w.outwards(1000); got {
			t.Error("port 1000 is not dropped")
		}
		w.do("iptables -E web net")
		if out := w.do("iptables -S net").Output; !strings.HasPrefix(out, "-N net\n-A net -p udp -m udp --dport 1001 -j RETURN\n") {
			t.Errorf("listed %q", out)
		}
		w.do("iptables -P FORWARD DROP")
		w.do("iptables -F")
		w.do("iptables -X net")
		w.do("iptables -A FORWARD -p udp --dport 9 -j ACCEPT")
		if w.outwards(1000) {
			t.Error("the policy is not DROP")
		}
		if a := w.do("iptables -C FORWARD -p udp --dport 10 -j ACCEPT"); a.Place != Refused {
			t.Errorf("found a rule that is not there: %+v", a)
		}
		if a := w.do("iptables -C FORWARD -p udp --dport 9 -j ACCEPT"); a.Place == Refused {
			t.Errorf("not found: %+v", a)
		}
		if a := w.do("iptables -D FORWARD 7"); a.Place != Refused {
			t.Errorf("deleted: %+v", a)
		}
	})
}

// A command with a mistake is an error that points at it.
func TestMistakes(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		var wrong *CommandError
		var syntax *iptables.SyntaxError
		_, err := w.Do(t.Context(), Request{Tenant: "red", Words: strings.Fields("iptables -A FORWARD --dprt 80 -j DROP")})
		if !errors.As(err, &wrong) || !errors.As(err, &syntax) || syntax.Word != 3 {
			t.Errorf("%v, %+v", err, syntax)
		}
		_, err = w.Do(t.Context(), Request{Tenant: "blue", Words: strings.Fields("iptables -L")})
		if !errors.Is(err, ErrNoTenant) {
			t.Error(err)
		}
		// iptables itself refuses this one: tcp-reset needs -p tcp.
		r, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j REJECT --reject-with tcp-reset\nCOMMIT\n"})
		if err == nil && (r.Done || len(r.Answers) != 1 || r.Answers[0].Place != Refused) {
			t.Errorf("%+v", r)
		}
		if err != nil && !errors.As(err, &wrong) {
			t.Error(err)
		}
		w.nothing()
	})
}

// Chains that double the work of those before them would have the host be busy with one packet.
func TestChainsThatDouble(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		chains, rules := ":FORWARD ACCEPT [0:0]\n", "-A FORWARD -j c0\n"
		for i := range 15 {
			chains += fmt.Sprintf(":c%d - [0:0]\n", i)
			for range 3 {
				rules += fmt.Sprintf("-A c%d -j c%d\n", i, i+1)
			}
		}
		_, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: "*filter\n" + chains + ":c15 - [0:0]\n" + rules + "-A c15 -p udp\nCOMMIT\n"})
		var wrong *CommandError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "jump to them from fewer") {
			t.Errorf("%v", err)
		}
		w.nothing()
	})
}

// What cannot be confined is refused, but for the operator who says so: it is then in iptables as
// it is.
func TestAffectingOthers(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		words := strings.Fields("iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE")
		for _, q := range []Request{{}, {Operator: true}, {AffectOthers: true}} {
			q.Tenant, q.Words = "red", words
			if a, err := w.Do(t.Context(), q); err != nil || a.Place != Refused {
				t.Errorf("%+v, %v", a, err)
			}
		}
		q := Request{Tenant: "red", Words: words, Operator: true, AffectOthers: true, DryRun: true}
		if a, err := w.Do(t.Context(), q); err != nil || a.Place != IPTables {
			t.Errorf("%+v, %v", a, err)
		}
		listed := func() bool {
			return strings.Contains(w.run(w.hv, "iptables-"+w.kind+"-save", "-t", "nat"), "MASQUERADE")
		}
		if listed() {
			t.Error("a dry run did it")
		}
		q.DryRun = false
		if a, err := w.Do(t.Context(), q); err != nil || a.Place != IPTables {
			t.Errorf("%+v, %v", a, err)
		}
		if !listed() {
			t.Error("not done")
		}
	})
}

// IPv6 has rules of its own.
func TestIPv6(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.do("ip6tables -A FORWARD -p udp --dport 1000 -j DROP")
		six := func() bool { return w.passes(w.guest, "2001:db8:1::10", w.out, "2001:db8:2::2", 1000) }
		if six() {
			t.Error("IPv6 passes")
		}
		if !w.outwards(1000) {
			t.Error("IPv4 is dropped")
		}
		w.do("iptables -A FORWARD -p udp --dport 1001 -j DROP")
		if six() || w.outwards(1001) {
			t.Error("one family's rules have replaced the other's")
		}
		l, err := w.List(t.Context(), "red")
		if err != nil || l.Families[1].Chains[0].Rules[0].Packets != 2 {
			t.Errorf("%+v, %v", l, err)
		}
		w.do("ip6tables -F")
		if !six() || w.outwards(1001) {
			t.Error("flushing one family has flushed the other")
		}
	})
}

// Packets to the tenant are judged, too, and the explanation says what becomes of a packet.
func TestExplain(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.do("iptables -A FORWARD -d 192.0.2.10 -p udp --dport 1000 -j DROP")
		w.do("iptables -A FORWARD -s 192.0.2.10 -p udp --dport 1001 -j DROP")
		w.do("iptables -A FORWARD -p udp --dport 1003 -m limit --limit 1/s -j DROP")
		if w.passes(w.out, "198.51.100.2", w.guest, "192.0.2.10", 1000) {
			t.Error("a packet to the tenant is not dropped")
		}
		for packet, want := range map[string]string{
			"udp 198.51.100.2:5 > 192.0.2.10:1000 to": "drop forward",
			"udp 192.0.2.10:5 > 198.51.100.2:1001":    "drop tc",
			"udp 192.0.2.10:5 > 198.51.100.2:1002":    "pass tc",
			"udp 192.0.2.10:5 > 198.51.100.2:1003":    "unknown iptables",
		} {
			e, err := w.Explain(t.Context(), "red", packet)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Verdict + " " + e.Place; got != want {
				t.Errorf("%s: %s, not %s: %s", packet, got, want, e.Reason)
			}
		}
		if _, err := w.Explain(t.Context(), "red", "udp nonsense"); !errors.As(err, new(*CommandError)) {
			t.Error(err)
		}
	})
}

// While another's port is on the tenant's bridge, no rule is taken, and the reason is said.
func TestSharedBridge(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		both, err := tenant.NewSet([]tenant.Tenant{{ID: "red", Ports: []string{"tap-red"}}, {ID: "blue", Ports: []string{"tap-blue"}}}, nil, []string{"eth0"})
		if err != nil {
			t.Fatal(err)
		}
		w.tenants = both
		w.run(w.hv, "ip", "link", "add", "tap-blue", "type", "veth", "peer", "name", "eth9", "netns", w.guest.Name())
		w.run(w.hv, "ip", "link", "set", "tap-blue", "master", "br-red", "up")
		w.open()
		_, err = w.Do(t.Context(), Request{Tenant: "red", Words: strings.Fields("iptables -A FORWARD -j DROP")})
		if !errors.Is(err, ErrNoFirewall) {
			t.Error(err)
		}
		l, err := w.List(t.Context(), "red")
		if err != nil || len(l.Problems) == 0 {
			t.Errorf("%+v, %v", l, err)
		}
		w.nothing()
	})
}
