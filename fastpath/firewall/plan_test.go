// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// One diagram is for both places if, and only if, what is not known at the port makes no
// difference.
func TestOneDiagramForBothPlaces(t *testing.T) {
	some := header.Box{header.Proto: header.Values(header.UDP)}
	for name, test := range map[string]struct {
		rules    string
		premises premises.Premises
		one      bool
	}{
		"neither":    {"-A FORWARD -p tcp -m tcp --dport 22 -j DROP\n", premises.Premises{}, true},
		"states":     {"-A FORWARD -p tcp -m conntrack --ctstate NEW -j DROP\n", premises.Premises{}, false},
		"unknown":    {"-A FORWARD -m limit --limit 3/hour -j DROP\n", premises.Premises{}, false},
		"premises":   {"-A FORWARD -p tcp -m tcp --dport 22 -j DROP\n", premises.Premises{Defer: []header.Box{some}}, false},
		"not at all": {"-A FORWARD -p tcp -m tcp --dport 22 -j DROP\n", premises.Premises{NoTag: "reason"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			save, err := iptables.ParseSave(header.V4, "*filter\n:FORWARD ACCEPT [0:0]\n"+test.rules+"COMMIT\n")
			if err != nil {
				t.Fatal(err)
			}
			text := &rulesText{tenant: "red", chains: iptables.NewChains(header.V4), next: 1}
			if err := text.chains.Restore(save); err != nil {
				t.Fatal(err)
			}
			text.give()
			n, err := newPlan(&scope.Tenant{ID: "red", Number: 1}, text, &test.premises, DefaultMaxRules)
			if err != nil || n.why != "" {
				t.Fatal(err, n.why)
			}
			if one := n.ingress == n.forward; one != test.one {
				t.Errorf("one diagram: %v", one)
			}
			if n.late != test.premises.NoTag || (n.ingress == nil) != (n.late != "") {
				t.Fatalf("late %q", n.late)
			}
			if n.ingress == nil {
				return
			}
			o := diagram.Options{Stateless: true, Fresh: fresh(&test.premises), Defer: test.premises.Defer}
			if err := n.ingress.Verify(n.set, o, verifySeed); err != nil {
				t.Error(err)
			}
		})
	}
}
