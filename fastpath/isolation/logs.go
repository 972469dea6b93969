// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"

	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// maxLoggedByAll is how often in a second all of a tenant's rules of a family together may write to the
// host's log: one packet can pass as many rules that log as there are.
const maxLoggedByAll = 5 * maxLogged

// maxLogBurstOfAll is how often they may do so at once.
const maxLogBurstOfAll = 5 * maxLogBurst

// usualBurst is the --limit-burst of who does not say one.
const usualBurst = 5

// logs is how much rules may write to the host's log.
type logs struct {
	rate  float64 // per second
	burst uint64
}

// add adds a rule, if it logs. It must not be [forbidden].
func (l *logs) add(r *iptables.Rule) {
	if r.Target.Name != "LOG" && r.Target.Name != "NFLOG" {
		return
	}
	for i := range r.Matches {
		if r.Matches[i].Name != "limit" {
			continue
		}
		rate, burst := value(r.Matches[i].Options, "--limit"), uint64(usualBurst)
		if rate == "" {
			rate = "3/hour"
		}
		if n, ok := decimal(value(r.Matches[i].Options, "--limit-burst")); ok {
			burst = n
		}
		l.rate, l.burst = l.rate+perSecond(rate), l.burst+burst
		return
	}
}

// logged says, as a clause after "because", that a rule would log too much with all others of the tenant, which
// it is added to.
func (d *decider) logged(r *iptables.Rule) string {
	before := d.logs
	d.logs.add(r)
	if d.logs != before && (d.logs.rate > maxLoggedByAll || d.logs.burst > maxLogBurstOfAll) {
		return fmt.Sprintf("all its rules that log could then fill the host's log: their limits may be %d/second and their bursts %d together",
			maxLoggedByAll, maxLogBurstOfAll)
	}
	return ""
}

// alreadyLogging adds the rules that the tenant has and keeps.
func (d *decider) alreadyLogging(chains *iptables.Chains, cmd *iptables.Command) {
	for _, c := range chains.List {
		for i, r := range c.Rules {
			if cmd.Op != iptables.Replace || c.Name != cmd.Chain || i+1 != cmd.Number {
				d.logs.add(r)
			}
		}
	}
}
