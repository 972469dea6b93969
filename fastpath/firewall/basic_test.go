// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"testing"
)

func contextOf(*testing.T) context.Context { return context.Background() }

// A command is in force when it is answered, and nothing is left after a flush.
func TestCommandIsInForce(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		if !w.outwards(1000) {
			t.Fatal("dropped without a rule")
		}
		a := w.do("iptables -A FORWARD -p udp --dport 1000 -j DROP")
		if a.Place == Refused {
			t.Fatal(a.Reason)
		}
		if w.outwards(1000) {
			t.Error("not dropped")
		}
		if !w.outwards(1001) {
			t.Error("another port is dropped")
		}
		l, err := w.List(t.Context(), "red")
		if err != nil {
			t.Fatal(err)
		}
		if r := l.Families[0].Chains[0].Rules[0]; r.Packets != 1 || r.Bytes != 29 {
			t.Errorf("counted %d packets and %d bytes", r.Packets, r.Bytes)
		}
		if err := w.Flush(t.Context(), "red"); err != nil {
			t.Fatal(err)
		}
		if !w.outwards(1000) {
			t.Error("dropped after the flush")
		}
		w.nothing()
	})
}
