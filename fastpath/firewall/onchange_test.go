// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Whoever keeps what follows from a tenant's rules is told when they become others, before the command
// is answered, and sees the new ones.
func TestOnChange(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		type seen struct {
			number uint32
			rules  int
			tc     bool
		}
		var told []seen
		w.open()
		w.Manager.options.OnChange = func(number uint32) {
			s := seen{number: number}
			set, forward, ok := w.InForce(number, header.V4)
			if ok {
				s.rules, s.tc = len(set.Chains["FORWARD"].Rules), forward != nil
			}
			told = append(told, s)
		}
		red := tenant.NumberOf("red")
		check := func(what string, want ...seen) {
			t.Helper()
			if told = slices.Compact(told); !slices.Equal(told, want) {
				t.Errorf("%s: told %+v, want %+v", what, told, want)
			}
			told = nil
		}
		w.do("iptables -A FORWARD -p udp --dport 1000 -j DROP")
		check("a rule", seen{red, 1, true})
		w.do("iptables -A FORWARD -p udp --dport 1001 -j DROP")
		check("another", seen{red, 2, true})
		w.do("iptables -L FORWARD")
		check("a listing")
		w.run(w.hv, "iptables-"+w.kind, "-t", "raw", "-A", "PREROUTING", "-j", "LOG") // so that TC must not drop
		w.check(t.Context())
		check("rules of others", seen{red, 2, true})
		if err := w.Flush(t.Context(), "red"); err != nil {
			t.Fatal(err)
		}
		check("a flush", seen{red, 0, false})
	})
}
