// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Rules of a tenant without devices are taken, and it is said that no packet meets them: the agent may be
// in another namespace than the hypervisor.
func TestRulesThatNoPacketMeets(t *testing.T) {
	if text := unseen(&scope.Tenant{Devices: []scope.Device{{Name: "br-red"}}}); text != "" {
		t.Errorf("with a device: %q", text)
	}
	eachKind(t, func(t *testing.T, w *world) {
		w.open()
		if a := w.do("iptables -A FORWARD -j DROP"); strings.Contains(a.Reason, "no packet meets") {
			t.Error(a.Reason)
		}
		w.run(w.hv, "ip", "link", "del", "tap-red")
		w.run(w.hv, "ip", "link", "del", "br-red")
		a := w.do("iptables -A FORWARD -j DROP")
		if a.Place == Refused || !strings.Contains(a.Reason, "For now no packet meets the rules") {
			t.Errorf("%+v", a)
		}
		l, err := w.List(t.Context(), "red")
		if err != nil || !strings.Contains(l.Families[0].Reason, "For now no packet meets the rules") {
			t.Errorf("%+v: %v", l, err)
		}
	})
}
