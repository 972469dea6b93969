// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/fastpath/firewall"
)

// writeJSON prints what the API would answer.
func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// answer prints what became of a command, and returns an error if it was refused.
func (a *asked) answer(answer *firewall.Answer) error {
	refused := answer.Place == firewall.Refused
	switch {
	case a.flags.json:
		if err := writeJSON(a.out, answer); err != nil {
			return err
		}
	case refused:
		fmt.Fprint(a.err, refusalText("dwell: ", answer))
	case answer.Output != "":
		if _, err := io.WriteString(a.out, ended(answer.Output)); err != nil {
			return err
		}
	default:
		if _, err := fmt.Fprintf(a.out, "%s%s: %s\n", dryPrefix(answer.DryRun || a.flags.dryRun), answer.Place, answer.Reason); err != nil {
			return err
		}
	}
	if refused {
		return reported{1}
	}
	return nil
}

// ended returns text with a newline at its end.
func ended(text string) string { return strings.TrimSuffix(text, "\n") + "\n" }

// dryPrefix is what stands before an answer of which nothing was done.
func dryPrefix(dry bool) string {
	if dry {
		return "would be "
	}
	return ""
}

// refusalText says why a rule or a command is refused, and shows the packet.
func refusalText(prefix string, a *firewall.Answer) string {
	text := prefix + "refused: " + a.Reason + "\n"
	if a.Command != "" {
		text += "  rule     " + a.Command + "\n"
	}
	if a.Witness != "" {
		text += "  witness  " + a.Witness + "\n"
	}
	if a.Whose != "" {
		text += "  whose    " + a.Whose + "\n"
	}
	return text
}

// shown is how many rules are listed one by one; --json has all.
const shown = 20

// restored prints what became of a file of rules.
func (a *asked) restored(r *firewall.Restored, dry bool) error {
	if a.flags.json {
		if err := writeJSON(a.out, r); err != nil || r.Done {
			return err
		}
		return reported{1}
	}
	if !r.Done {
		return a.restoreRefused(r)
	}
	var text strings.Builder
	n := map[firewall.Place]int{}
	for _, answer := range r.Answers {
		n[answer.Place]++
	}
	done := "in force"
	if dry {
		done = "would be in force"
	}
	fmt.Fprintf(&text, "%s %s: %d by tc, %d by iptables", counted(len(r.Answers), "rule"), done, n[firewall.TC], n[firewall.IPTables])
	if r.CompileTime > 0 {
		fmt.Fprintf(&text, "; compiled in %v", short(r.CompileTime))
	}
	if r.SwapTime > 0 && !dry {
		fmt.Fprintf(&text, ", put in force in %v", short(r.SwapTime))
	}
	text.WriteString("\n")
	left := n[firewall.IPTables]
	for i, answer := range r.Answers {
		if answer.Place != firewall.IPTables {
			continue
		}
		if n[firewall.IPTables]-left == shown {
			fmt.Fprintf(&text, "  and %d more by iptables (--json shows all)\n", left)
			break
		}
		left--
		fmt.Fprintf(&text, "  rule %d, %s\n    iptables: %s\n", i+1, answer.Command, answer.Reason)
	}
	_, err := io.WriteString(a.out, text.String())
	return err
}

// restoreRefused says which rules are refused.
func (a *asked) restoreRefused(r *firewall.Restored) error {
	fmt.Fprintf(a.err, "dwell: refused: nothing was changed, because %s cannot be confined to the tenant\n", counted(len(r.Answers), "rule"))
	for i := range r.Answers {
		if i == shown {
			fmt.Fprintf(a.err, "  and %d more (--json shows all)\n", len(r.Answers)-shown)
			break
		}
		fmt.Fprint(a.err, refusalText("  ", &r.Answers[i]))
	}
	return reported{1}
}

// counted returns "1 rule" or "10000 rules".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// short rounds a duration to three figures or so.
func short(d time.Duration) time.Duration {
	for unit := time.Second; unit > time.Nanosecond; unit /= 10 {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}
