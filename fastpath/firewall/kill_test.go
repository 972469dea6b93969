// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A process that is killed at any moment while it changes rules, also within a step and with iptables-restore
// running, leaves the old rules or the new ones. At no moment does a packet pass that both drop.
func TestKilledAtAnyMoment(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		w.leave()
		l := w.lane(w.guest, "192.0.2.10", w.out, "198.51.100.2", 1002)
		for kill := range 8 {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDying$", "-test.count=1")
			c.Env = append(os.Environ(), dyingDir+"="+w.dir, dyingNS+"="+w.hv.Name(), dyingKind+"="+w.kind, dyingStep+"=never", dyingWhat+"=restores")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			// It begins with adopting, which takes some ten milliseconds.
			for end := time.Now().Add(time.Duration(rand.Int64N(int64(800 * time.Millisecond)))); time.Now().Before(end); {
				if l.passes() {
					t.Errorf("kill %d: a packet passes before", kill)
				}
			}
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err == nil {
				t.Fatal("it has ended by itself")
			}
			if l.passes() {
				t.Errorf("kill %d: a packet passes after", kill)
			}
		}
		l.close()
		w.open()
		if got := w.verdicts(); got != "both old" && got != "both new" {
			t.Errorf("%q is dropped", got)
		}
		list, err := w.List(t.Context(), "red")
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range list.Problems {
			// Counts of tables that were replaced in the moment before a kill are lost, and that is said.
			if !strings.HasSuffix(problem, "are in no rule's counters.") {
				t.Error(problem)
			}
		}
	})
}
