// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// rule returns the first rule of FORWARD as it is listed.
func (w *world) rule() RuleListing {
	w.Helper()
	l, err := w.List(w.Context(), "red")
	if err != nil {
		w.Fatal(err)
	}
	if rules := l.Families[0].Chains[0].Rules; len(rules) > 0 {
		return rules[0]
	}
	return RuleListing{}
}

// Counters and IDs stay what they are when other rules change and when the agent is started
// again, wherever packets were judged.
func TestCountersGoOn(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.do("iptables -A FORWARD -p udp --dport 1000 -j DROP")
		sent := uint64(0)
		send := func() {
			if w.outwards(1000) {
				t.Fatal("not dropped")
			}
			sent++
			if n := w.rule().Packets; n != sent {
				t.Fatalf("counted %d of %d packets", n, sent)
			}
		}
		send()
		send()
		w.do("iptables -A FORWARD -p udp --dport 1003 -j DROP")
		send()
		id := w.rule().ID
		w.leave()
		w.open()
		if n := w.rule().Packets; n != sent {
			t.Errorf("counted %d of %d packets after a restart", n, sent)
		}
		send()
		// limit is iptables' alone, so its packets are judged there.
		w.do("iptables -I FORWARD 2 -m limit --limit 1/s -j RETURN")
		send()
		if now := w.rule().ID; now != id {
			t.Errorf("ID %d has become %d", id, now)
		}
		w.do("iptables -Z FORWARD")
		sent = 0
		send()
	})
}

// A file that cannot be read is said so, what is in force stays, and it is not overwritten by a
// command; a whole new file mends it.
func TestCorruptFile(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		path := w.store.path("red", header.V4)
		w.leave()
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, broken := range []string{"", "nonsense", string(whole[:len(whole)-12]), strings.Replace(string(whole), "rules 1;", "rules 7;", 1), strings.Replace(string(whole), "tenant red", "tenant blue", 1), strings.Replace(string(whole), "--dports", "--nonsense", 1)} {
			if broken == "" {
				continue
			}
			if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := New(w.options())
			if err != nil {
				t.Fatal(err)
			}
			m.SetTenants(w.tenants)
			if err := m.Adopt(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%.20q: %v", broken, err)
			}
			if _, err := m.Do(t.Context(), Request{Tenant: "red", Words: strings.Fields("iptables -A FORWARD -j DROP")}); err == nil {
				t.Errorf("%.20q: a command is taken that loses the file", broken)
			}
			l, err := m.List(t.Context(), "red")
			if err != nil || len(l.Problems) == 0 {
				t.Errorf("%.20q: no problem: %v", broken, err)
			}
			if got := w.verdicts(); got != "both old" {
				t.Errorf("%.20q: %q is dropped", broken, got)
			}
			w.Manager = m
			w.leave()
		}
		m, err := New(w.options())
		if err != nil {
			t.Fatal(err)
		}
		w.Manager = m
		m.SetTenants(w.tenants)
		if err := m.Adopt(t.Context()); err == nil {
			t.Error("no error")
		}
		w.restore(newRules)
		if got := w.verdicts(); got != "both new" {
			t.Errorf("%q is dropped", got)
		}
		w.close()
	})
}

// After a reboot nothing is in the kernel, and the files put it there again. Whoever edits a
// file gets what the file says.
func TestReboot(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		path := w.store.path("red", header.V4)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context(), "red"); err != nil {
			t.Fatal(err)
		}
		w.leave()
		w.nothing()
		edited := strings.Replace(string(text), "1000,1002", "1001,1002", 1)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		if got := w.verdicts(); got != "both new" {
			t.Errorf("%q is dropped", got)
		}
	})
}

// A tenant that is no longer there has no rules in force, and has them again when it is back.
func TestTenantIsGone(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		w.leave()
		all := w.tenants
		w.tenants = nil
		w.open()
		if got := w.verdicts(); got != "" {
			t.Errorf("%q is dropped", got)
		}
		w.nothing()
		w.leave()
		w.tenants = all
		w.open()
		if got := w.verdicts(); got != "both old" {
			t.Errorf("%q is dropped", got)
		}
	})
}
