// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// A file of rules is what iptables-save -c prints, with lines that begin with # between, which
// iptables-restore ignores: the first says what the file is, and one before each rule has its ID. A
// person may edit it while no agent runs; a rule without ID gets one. Counters are of all
// packets. How much of them iptables itself had counted in its chains stands beside the ID:
// where those chains are still there after a crash, they have gone on from that, and after a
// reboot they begin at 0.

// textVersion is the version of the format.
const textVersion = 1

// firstLine matches the first line of a file: version, tenant, family, next ID.
var firstLine = regexp.MustCompile(`^# dwell firewall rules (\d+); tenant (\S+); IPv([46]); next ID (\d+)$`)

// idLine matches the line before a rule, or with ID 0 before the policy's: the ID and what
// iptables had counted.
var idLine = regexp.MustCompile(`^# rule (\d+)(?: \(iptables \[(\d+):(\d+)\]\))?$`)

// ruleLine matches a rule: its counters, and what its chain is called.
var ruleLine = regexp.MustCompile(`^(?:\[(\d+):(\d+)\] )?-A (\S+)`)

// policyLine matches the policy of the first chain, and its counters.
var policyLine = regexp.MustCompile(`^:` + base + ` \S+ \[(\d+):(\d+)\]$`)

// rulesText is what a file of rules says.
type rulesText struct {
	tenant string
	chains *iptables.Chains
	// next is more than every ID that was given.
	next uint32
	// counts are those in a file, by ID; 0 is the policy.
	counts map[uint32]kindsOfCount
}

// render returns the file. Counters are those of each rule, and of the policy for ID 0.
func (t *rulesText) render(counted func(id uint32) kindsOfCount) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# dwell firewall rules %d; tenant %s; IPv%d; next ID %d\n*filter\n", textVersion, t.tenant, t.chains.Family, t.next)
	for _, c := range t.chains.List {
		policy, n := c.Policy, kindsOfCount{}
		if policy == "" {
			policy = "-"
		}
		if c.Name == base {
			n = counted(0)
			b.WriteString(renderID(0, n.tables))
		}
		fmt.Fprintf(&b, ":%s %s [%d:%d]\n", iptables.Quote(c.Name), policy, n.total.Packets, n.total.Bytes)
	}
	for _, c := range t.chains.List {
		for _, r := range c.Rules {
			n := counted(r.ID)
			fmt.Fprintf(&b, "%s[%d:%d] -A %s", renderID(r.ID, n.tables), n.total.Packets, n.total.Bytes, iptables.Quote(c.Name))
			if text := r.String(); text != "" {
				b.WriteString(" " + text)
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// renderID is the line before a rule.
func renderID(id uint32, tables counters) string {
	if tables == (counters{}) {
		return fmt.Sprintf("# rule %d\n", id)
	}
	return fmt.Sprintf("# rule %d (iptables [%d:%d])\n", id, tables.Packets, tables.Bytes)
}

// parseText reads a file that render made, and that a person may have edited.
func parseText(tenantID string, family header.Family, text string) (*rulesText, error) {
	first, _, _ := strings.Cut(text, "\n")
	m := firstLine.FindStringSubmatch(first)
	if m == nil {
		return nil, fmt.Errorf("the first line is not %q: it is not a file of dwell's, or was cut off",
			fmt.Sprintf("# dwell firewall rules %d; tenant %s; IPv%d; next ID N", textVersion, tenantID, family))
	}
	switch {
	case m[1] != strconv.Itoa(textVersion):
		return nil, fmt.Errorf("it has version %s of the format, and this dwell knows version %d: use the dwell that wrote it, or a newer one", m[1], textVersion)
	case m[2] != tenantID || m[3] != strconv.Itoa(int(family)):
		return nil, fmt.Errorf("it is of tenant %s and IPv%s: it has been moved", m[2], m[3])
	case !strings.HasSuffix(strings.TrimSpace(text), "\nCOMMIT"):
		return nil, fmt.Errorf("the last line is not COMMIT: the file was cut off")
	}
	next, err := strconv.ParseUint(m[4], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the next ID: %w", err)
	}
	save, err := iptables.ParseSave(family, text)
	if err != nil {
		return nil, err
	}
	t := &rulesText{tenant: tenantID, chains: iptables.NewChains(family), next: max(uint32(next), 1)}
	if err := t.chains.Restore(save); err != nil {
		return nil, err
	}
	t.number(text)
	return t, nil
}

// number gives the rules the IDs that stand in the text before them, and reads the counters.
func (t *rulesText) number(text string) {
	t.counts = map[uint32]kindsOfCount{}
	place := map[string]int{}
	taken := map[uint32]bool{0: true}
	id, tables := uint32(0), counters{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := idLine.FindStringSubmatch(line); m != nil {
			id, tables = uint32(number(m[1], 32)), countersOf(m[2], m[3])
			continue
		}
		if m := policyLine.FindStringSubmatch(line); m != nil {
			t.counts[0] = kindsOfCount{total: countersOf(m[1], m[2]), tables: tables}
			continue
		}
		m := ruleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		chain := strings.Trim(m[3], `"`)
		c := t.chains.Get(chain)
		if n := place[chain]; c != nil && n < len(c.Rules) && !taken[id] && id < t.next {
			c.Rules[n].ID = id
			taken[id] = true
			t.counts[id] = kindsOfCount{total: countersOf(m[1], m[2]), tables: tables}
		}
		place[chain]++
		id, tables = 0, counters{}
	}
}

// number reads what a regular expression has found to be digits, or nothing.
func number(digits string, bits int) uint64 {
	n, _ := strconv.ParseUint(digits, 10, bits) // the largest number in place of a larger one
	return n
}

func countersOf(packets, bytes string) counters {
	return counters{Packets: number(packets, 64), Bytes: number(bytes, 64)}
}

// give gives IDs to the rules that have none, and returns those rules.
func (t *rulesText) give() []*iptables.Rule {
	var fresh []*iptables.Rule
	for _, c := range t.chains.List {
		for _, r := range c.Rules {
			if r.ID == 0 {
				r.ID = t.next
				t.next++
				fresh = append(fresh, r)
			}
		}
	}
	return fresh
}
