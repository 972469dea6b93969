// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What stands in iptables of the operator's own after others were there.
const others = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -i eth0 -j ACCEPT\nCOMMIT\n"

// Whatever others do to iptables, to what is pinned or to devices, the rules come back, and then others can use
// iptables as before.
func TestVandals(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		w.restore(oldRules)
		w.keep()
		file := filepath.Join(t.TempDir(), "rules")
		if err := os.WriteFile(file, []byte(others), 0o600); err != nil {
			t.Fatal(err)
		}
		pins := func() []string {
			found, err := filepath.Glob(filepath.Join(w.pin(), "v1", "*", "*"))
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		pinned := len(pins())
		if pinned == 0 {
			t.Fatal("nothing is pinned")
		}
		vandals := map[string]func(){
			"restore of all": func() { w.run(w.hv, "iptables-"+w.kind+"-restore", file) },
			"pins deleted": func() {
				for _, p := range pins() {
					if err := os.Remove(p); err != nil {
						t.Error(err)
					}
				}
			},
			"unmounted": func() {
				if err := unix.Unmount(w.pin(), unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			},
			"bridge made anew": func() {
				w.run(w.hv, "ip", "link", "del", "br-red")
				w.run(w.hv, "ip", "link", "del", "tap-red")
				w.run(w.hv, "ip", "link", "add", "br-red", "type", "bridge")
				w.run(w.hv, "ip", "addr", "add", "192.0.2.1/24", "dev", "br-red")
				w.run(w.hv, "ip", "link", "set", "br-red", "up")
				w.port()
			},
		}
		if w.kind == "nft" {
			vandals["flush of all"] = func() { w.run(w.hv, "nft", "flush", "ruleset") }
		}
		for name, act := range vandals {
			act()
			if got := w.outwards(1002); got && !strings.Contains(name, "all") {
				t.Errorf("%s: for a moment there are no rules", name)
			}
			w.until("others can use iptables again after "+name, func() bool {
				l, err := w.List(t.Context(), "red")
				return err == nil && len(l.Problems) == 0 && len(pins()) == pinned && w.verdicts() == "both old"
			})
			w.run(w.hv, "iptables-"+w.kind, "-A", "INPUT", "-p", "udp", "--dport", "7")
			if _, err := w.Restore(t.Context(), Restore{Tenant: "red", Family: 4, Text: oldRules}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := w.verdicts(); got != "both old" {
				t.Errorf("%s: %q is dropped", name, got)
			}
		}
	})
}
