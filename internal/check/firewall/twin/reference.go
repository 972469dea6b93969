// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Backends are the two kinds of iptables that a host may have.
var Backends = []string{"legacy", "nft"}

// commandTimeout is for one run of a program of iptables.
const commandTimeout = 30 * time.Second

// Count is what a rule counted.
type Count struct{ Packets, Bytes uint64 }

// Subject puts a tenant's rules into force.
type Subject interface {
	// Apply puts the rules, as iptables-save writes them, in force in place of those before.
	Apply(family int, rules string) error
	// Counts returns what each rule counted, by chain, in order.
	Counts(family int) (map[string][]Count, error)
	// Clear removes the tenant's rules.
	Clear() error
	// Remove removes everything.
	Remove() error
}

// tables are the programs of iptables in a namespace.
type tables struct {
	ns      *netns.NS
	backend string
}

func (t *tables) program(v6 bool, kind string) string {
	name := "iptables"
	if v6 {
		name = "ip6tables"
	}
	return name + "-" + t.backend + kind
}

// run runs a program in the namespace and returns what it prints.
func (t *tables) run(stdin, name string, args ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	err := t.ns.Do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &complaint
		return cmd.Run()
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s\n%s", name, strings.Join(args, " "), err, &complaint, stdin)
	}
	return out.Bytes(), nil
}

// empty is what a host without rules has; raw is left out because only some cases use it.
const empty = `*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
`

// operate replaces all rules of the namespace by the operator's, for one family.
func (t *tables) operate(rules *Rules) error {
	_, err := t.run(empty, t.program(rules.V6, "-restore"))
	for _, table := range rules.Operator {
		if err == nil {
			_, err = t.run(table, t.program(rules.V6, "-restore"), "--noflush")
		}
	}
	return err
}

// Reference has the tenant's rules in iptables alone.
type Reference struct {
	tables
	table string
}

// NewReference returns the subject that says what is right.
func NewReference(n *Network, backend string) *Reference {
	return &Reference{tables: tables{n.Hypervisor, backend}}
}

// Apply implements [Subject].
func (f *Reference) Apply(family int, rules string) error {
	f.table = "mangle"
	if strings.Contains(rules, "-j REJECT") {
		f.table = "filter"
	}
	var b strings.Builder
	for line := range strings.Lines(rules) {
		switch {
		case strings.HasPrefix(line, "*"):
			fmt.Fprintf(&b, "*%s\n", f.table)
		case strings.HasPrefix(line, ":FORWARD "):
			fmt.Fprintf(&b, "%s-A FORWARD ! -i %[2]s ! -o %[2]s -j ACCEPT\n", line, Bridge)
		default:
			b.WriteString(line)
		}
	}
	_, err := f.run(b.String(), f.program(family == 6, "-restore"), "--noflush")
	return err
}

// Counts implements [Subject].
func (f *Reference) Counts(family int) (map[string][]Count, error) {
	out, err := f.run("", f.program(family == 6, "-save"), "-c", "-t", f.table)
	if err != nil {
		return nil, err
	}
	counts := map[string][]Count{}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "[") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 3 || words[1] != "-A" || words[2] != "FORWARD" && strings.ToUpper(words[2]) == words[2] {
			continue // a chain of the host's
		}
		c, err := parseCount(words[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
		counts[words[2]] = append(counts[words[2]], c)
	}
	counts["FORWARD"] = counts["FORWARD"][1:] // what is not the tenant's
	if len(counts["FORWARD"]) == 0 {
		delete(counts, "FORWARD")
	}
	return counts, nil
}

// parseCount reads "[packets:bytes]".
func parseCount(text string) (Count, error) {
	packets, size, ok := strings.Cut(strings.Trim(text, "[]"), ":")
	p, err := strconv.ParseUint(packets, 10, 64)
	b, err2 := strconv.ParseUint(size, 10, 64)
	if !ok {
		err = errors.New("no counters")
	}
	return Count{p, b}, errors.Join(err, err2)
}

// Clear implements [Subject]: what replaces the operator's rules has removed the tenant's, too.
func (f *Reference) Clear() error { return nil }

// Remove implements [Subject].
func (f *Reference) Remove() error { return nil }
