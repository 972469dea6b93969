// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// Each rule may be within bounds, and all of them together fill the log.
func TestManyRulesThatLog(t *testing.T) {
	t.Parallel()
	for line, most := range map[string]int{
		"-A FORWARD -m limit --limit 10/s -j LOG":                       5,
		"-A FORWARD -m limit --limit 10/s -j NFLOG":                     5,
		"-A FORWARD -m limit --limit 1/day --limit-burst 100 -j LOG":    5,
		"-A FORWARD -m limit --limit 1/minute -j LOG":                   100,
		"-A FORWARD -m limit -j LOG --log-prefix x":                     100,
		"-A FORWARD -m limit --limit 1000000/s --limit-burst 10000":     200,
		"-A FORWARD -m limit --limit 10/s -j REJECT":                    200,
		"-A FORWARD -m limit --limit 1/s -j LOG -m limit --limit 1/day": 50,
	} {
		chains := iptables.NewChains(header.V4)
		chains.List = []*iptables.Chain{{Name: iptables.Base, Policy: "ACCEPT"}}
		one := func(command string) (*iptables.Command, Decision) {
			cmd, err := iptables.ParseLine("iptables " + command)
			if err != nil {
				t.Fatal(err)
			}
			return cmd, Decide(testHost(), "red", chains, cmd, Asker{})
		}
		n := 0
		for ; n < 200; n++ {
			cmd, d := one(line)
			if d.Verdict != Confined {
				if !strings.Contains(d.Reason, "50/second") {
					t.Errorf("%s: %+v", line, d)
				}
				break
			}
			chains.List[0].Rules = append(chains.List[0].Rules, cmd.Rules...)
		}
		if n != most {
			t.Errorf("%s: %d are taken, want %d", line, n, most)
		}
		if _, d := one("-R FORWARD 1" + strings.TrimPrefix(line, "-A FORWARD")); d.Verdict != Confined {
			t.Errorf("%s in place of the same: %+v", line, d)
		}
		if _, d := one("-A FORWARD -j DROP"); d.Verdict != Confined {
			t.Errorf("after %s, a rule that logs nothing: %+v", line, d)
		}
		save, err := iptables.ParseSave(header.V4, "*filter\n:FORWARD ACCEPT [0:0]\n"+strings.Repeat(line+"\n", most+2)+"COMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
		want := 2
		if most == 200 {
			want = 0
		}
		if refused := DecideSave(testHost(), "red", save, Asker{}); len(refused) != want {
			t.Errorf("%s in a file: %d are refused, want %d: %+v", line, len(refused), want, refused)
		}
	}
}
