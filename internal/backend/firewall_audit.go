// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Each change of a firewall is a line of the log, whether it was taken, refused or failed: who
// has asked for it, for which tenant, and what the answer was.

// maxLogged bounds what is logged of a command, in bytes.
const maxLogged = 2000

// name says in the log who a caller is.
func (c *caller) name() string {
	if len(c.names) == 0 {
		return c.key
	}
	return c.key + " " + strings.Join(c.names, " ")
}

// audit logs a change and what came of it. What is not understood is not a change.
func (q *request) audit(command string, err error, more ...any) {
	if errors.As(err, new(*firewall.CommandError)) {
		return
	}
	q.audited = true
	if len(command) > maxLogged {
		command = strings.ToValidUTF8(command[:maxLogged], "") + "…"
	}
	attrs := append([]any{"caller", q.caller.name(), "operator", q.rights.operator, "tenant", q.tenantID, "command", command}, more...)
	if err != nil {
		q.server.log.Warn("firewall change failed", append(attrs, "error", err)...)
		return
	}
	q.server.log.Info("firewall change", attrs...)
}

// auditCommand logs a command, unless it only lists or looks for rules.
func (q *request) auditCommand(c api.FirewallCommand, a *firewall.Answer, err error) {
	if cmd, wrong := iptables.ParseCommand(c.Words); wrong == nil && !cmd.Op.Edits() {
		return
	}
	more := []any{"affect_others", c.AffectOthers}
	if err == nil {
		more = append(more, "answer", a.Place, "reason", a.Reason)
	}
	q.audit(Spell(c.Words), err, more...)
}

// auditRules logs a file of rules: its hash, because all of it would be too much.
func (q *request) auditRules(r *firewall.Restored, err error) {
	sum := sha256.Sum256(q.body)
	more := []any{"bytes", len(q.body), "sha256", hex.EncodeToString(sum[:])}
	if err == nil {
		answer := "done"
		if !r.Done {
			answer = string(firewall.Refused)
		}
		more = append(more, "answer", answer, "rules", len(r.Answers))
	}
	q.audit("restore of IPv"+q.family, err, more...)
}
