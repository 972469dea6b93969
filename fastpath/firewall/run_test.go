// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"sync"
	"testing"
	"time"
)

// keep runs the manager until the test ends.
func (w *world) keep() {
	w.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	m := w.Manager
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil {
			w.Error(err)
		}
	}()
	w.Cleanup(func() {
		stop()
		<-done
	})
}

// until waits until something holds.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.After(30 * time.Second); !holds(); {
		select {
		case <-ticker.C:
		case <-limit:
			w.Fatalf("it is not so that %s", what)
		}
	}
}

func (w *world) repairs() uint64 {
	w.Helper()
	stats := w.Stats(w.Context())
	if len(stats) != 1 {
		w.Fatalf("%d tenants", len(stats))
	}
	return stats[0].Repairs
}

// What others do to a tenant's rules is undone and counted.
func TestRepair(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -m multiport --dports 1000,1002 -m limit --limit 10000/s -j DROP\nCOMMIT\n")
		w.keep()
		for _, words := range [][]string{{"-F"}, {"-F", "dwell-red"}, {"-D", "FORWARD", "-j", "dwell"}, {"-I", "FORWARD", "-j", "ACCEPT"}, {"-I", "dwell-red", "-j", "RETURN"}} {
			before := w.repairs()
			w.run(w.hv, append([]string{"iptables-" + w.kind}, words...)...)
			w.until("the rules are put back", func() bool { return w.repairs() > before })
			if got := w.verdicts(); got != "both old" {
				t.Errorf("%v: %q is dropped", words, got)
			}
		}
	})
}

// A port that is made anew has the program again.
func TestPortIsMadeAnew(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		w.keep()
		for range 3 {
			w.run(w.hv, "ip", "link", "del", "tap-red")
			w.port()
			if w.outwards(1002) {
				t.Error("the port is open before it has its program")
			}
			w.until("the port has its program", func() bool {
				l, err := w.List(t.Context(), "red")
				return err == nil && len(l.Ports) == 1 && l.Ports[0].Attached != "" && len(l.Problems) == 0
			})
			if got := w.verdicts(); got != "both old" {
				t.Errorf("%q is dropped", got)
			}
		}
	})
}

// While rules are changed again and again, no packet is lost that both the old and the new ones let
// pass, and none passes that both drop.
func TestChangesUnderTraffic(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		l := w.lane(w.guest, "192.0.2.10", w.out, "198.51.100.2", 1002)
		defer l.close()
		var changing sync.WaitGroup
		defer changing.Wait()
		done := make(chan struct{})
		changing.Go(func() {
			defer close(done)
			for i := range 20 {
				text := []string{newRules, oldRules}[i%2]
				if _, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: text}); err != nil {
					t.Error(err)
				}
			}
		})
		for packets := 0; ; packets++ {
			select {
			case <-done:
				t.Logf("%d packets", packets)
				return
			default:
			}
			if l.passes() { // fails, too, if the marker is lost
				t.Fatal("a packet passes that all rules drop")
			}
		}
	})
}
