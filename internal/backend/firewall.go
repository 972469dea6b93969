// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Firewall keeps the tenants' rules, as [firewall.Manager] does. If a context is done before a
// change is in force, nothing is changed.
type Firewall interface {
	Do(context.Context, firewall.Request) (*firewall.Answer, error)
	Restore(context.Context, firewall.Restore) (*firewall.Restored, error)
	List(ctx context.Context, tenant string) (*firewall.Listing, error)
	Save(ctx context.Context, tenant string, family int) (string, error)
	Explain(ctx context.Context, tenant, packet string) (*firewall.Explanation, error)
	Flush(ctx context.Context, tenant string) error
}

// firewallRoutes lists the paths below that of a tenant's firewall.
func firewallRoutes(base string) []route {
	dry := []string{queryDryRun}
	asks := func(method, path, body string, maxBody int64, query []string, f answerer) route {
		return route{
			pattern: base + path, method: method, body: body, maxBody: maxBody, query: query,
			handle: func(q *request) { q.ask(f) },
		}
	}
	const rules = "/rules/{family}"
	return []route{
		asks("", "", "", 0, nil, (*request).listFirewall),
		asks(http.MethodPost, "", api.ContentJSON, api.MaxCommand, nil, (*request).command),
		asks(http.MethodDelete, "", "", 0, dry, (*request).flushFirewall),
		asks("", rules, "", 0, nil, (*request).saveRules),
		asks(http.MethodPut, rules, contentPlain, api.MaxRules, dry, (*request).putRules),
		asks(http.MethodPost, api.FirewallCheckPath, api.ContentJSON, api.MaxRules+api.MaxRules/2, nil, (*request).checkFirewall),
		asks(http.MethodPost, api.FirewallExplainPath, api.ContentJSON, api.MaxCommand, nil, (*request).explainPacket),
	}
}

// answerer asks the firewall for an answer: a type that is written as JSON, or a string.
type answerer func(*request, context.Context) (any, error)

// ask answers a request with what the firewall says.
func (q *request) ask(f answerer) {
	if q.server.firewall == nil {
		q.refuse(refuse(api.CodeNoFirewall, "the agent keeps no firewall: its configuration does not enable one (firewall)"))
		return
	}
	q.work(firewallWork, f)
}

// work answers a request that takes the agent's time.
func (q *request) work(about work, f answerer) {
	s := q.server
	if code := s.quotas.begin(about, q.caller.key, q.rights.operator); code != "" {
		q.w.Header().Set("Retry-After", "1")
		q.refuse(refuse(code, "too much is asked of the "+about.String()+" at once; try again in a second"))
		return
	}
	defer s.quotas.end(about, q.caller.key)
	if refused := q.readBody(); refused != nil {
		q.refuse(refused)
		return
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), s.changeTimeout)
	defer cancel()
	// Otherwise the connection would be taken for an idle one.
	control := http.NewResponseController(q.w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(s.changeTimeout + writeTimeout))
	value, err := f(q, ctx)
	if err != nil {
		q.refuse(q.why(ctx, about, err))
		return
	}
	if text, ok := value.(string); ok {
		write(q.w, http.StatusOK, api.ContentText, []byte(text))
		return
	}
	writeJSON(q.w, http.StatusOK, value)
}

// refusedError is a refusal as an error.
type refusedError struct{ *refusal }

func (e refusedError) Error() string { return e.message }

// why returns what is said of an error. A tenant is not told what the operator's own log says:
// there may be others' names in it.
func (q *request) why(ctx context.Context, about work, err error) *refusal {
	var refused refusedError
	var wrong *firewall.CommandError
	var packet *accelerator.PacketError
	switch {
	case errors.As(err, &refused):
		return refused.refusal
	case errors.As(err, &wrong), errors.As(err, &packet):
		return &refusal{code: api.CodeSyntax, message: err.Error(), at: Position(err, q.words, q.text)}
	case isNoTenant(err) && q.rights.operator:
		return refuse(api.CodeUnknownTenant, "there is no such tenant")
	case isNoTenant(err):
		return notYours()
	case errors.Is(err, firewall.ErrNoFirewall):
		return refuse(api.CodeNoFirewall, err.Error())
	case errors.Is(err, accelerator.ErrUnsupported):
		return refuse(api.CodeNoFastPath, err.Error())
	case ctx.Err() != nil:
		return refuse(api.CodeBusy, "the "+about.String()+" has not answered within "+q.server.changeTimeout.String()+"; nothing was changed, try again later")
	}
	if !q.audited {
		q.server.log.Error("the "+about.String()+" failed", "caller", q.caller.name(), "tenant", q.tenantID, "error", err)
	}
	if q.rights.operator {
		return refuse(api.CodeFailed, err.Error())
	}
	return refuse(api.CodeFailed, "the "+about.String()+" failed, and what was in force still is; the agent's log tells the operator why")
}

func isNoTenant(err error) bool {
	return errors.Is(err, firewall.ErrNoTenant) || errors.Is(err, accelerator.ErrNoTenant)
}

func (q *request) listFirewall(ctx context.Context) (any, error) {
	l, err := q.server.firewall.List(ctx, q.tenantID)
	if err != nil {
		return nil, err
	}
	return listingOf(l), nil
}

func (q *request) saveRules(ctx context.Context) (any, error) {
	return q.server.firewall.Save(ctx, q.tenantID, q.familyNumber())
}

// familyNumber returns the family in the path.
func (q *request) familyNumber() int {
	n, err := strconv.Atoi(q.family)
	if err != nil {
		panic("backend: " + err.Error()) // the path was checked
	}
	return n
}

// command carries out one command.
func (q *request) command(ctx context.Context) (any, error) {
	var c api.FirewallCommand
	if err := q.decode(&c); err != nil {
		return nil, err
	}
	if err := q.checkWords(c.Words, c.AffectOthers); err != nil {
		return nil, err
	}
	if err := q.changes(c.DryRun); err != nil {
		return nil, err
	}
	q.words = c.Words
	a, err := q.server.firewall.Do(ctx, firewall.Request{Tenant: q.tenantID, Words: c.Words, DryRun: c.DryRun, AffectOthers: c.AffectOthers, Operator: q.rights.operator})
	if !c.DryRun {
		q.auditCommand(c, a, err)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// putRules replaces all rules of a family.
func (q *request) putRules(ctx context.Context) (any, error) {
	dry, err := q.dryRun()
	if err != nil {
		return nil, err
	}
	if err := q.changes(dry); err != nil {
		return nil, err
	}
	q.text = string(q.body)
	if err := checkText(q.text); err != nil {
		return nil, err
	}
	r, err := q.server.firewall.Restore(ctx, firewall.Restore{Tenant: q.tenantID, Family: q.familyNumber(), Text: q.text, DryRun: dry, Operator: q.rights.operator})
	if !dry {
		q.auditRules(r, err)
	}
	if err != nil {
		return nil, err
	}
	return restoredOf(r), nil
}

// checkFirewall says what would become of a command or a file.
func (q *request) checkFirewall(ctx context.Context) (any, error) {
	var c api.FirewallCheck
	if err := q.decode(&c); err != nil {
		return nil, err
	}
	if c.Words == nil {
		return q.checkFile(ctx, c)
	}
	if c.Family != 0 || c.Text != "" {
		return nil, refusedError{badRequest("the body has words as well as a file: send one of both")}
	}
	if err := q.checkWords(c.Words, c.AffectOthers); err != nil {
		return nil, err
	}
	q.words = c.Words
	a, err := q.server.firewall.Do(ctx, firewall.Request{Tenant: q.tenantID, Words: c.Words, DryRun: true, AffectOthers: c.AffectOthers, Operator: q.rights.operator})
	if err != nil {
		return nil, err
	}
	return firewall.Restored{Done: a.Place != firewall.Refused, Answers: []firewall.Answer{*a}}, nil
}

// checkFile says what would become of a file.
func (q *request) checkFile(ctx context.Context, c api.FirewallCheck) (any, error) {
	if c.Family != 4 && c.Family != 6 {
		return nil, refusedError{badRequest("family is not a valid one: it is 4 or 6")}
	}
	if c.AffectOthers {
		return nil, refusedError{badRequest("affect_others is for a command, and not for a file")}
	}
	if err := checkText(c.Text); err != nil {
		return nil, err
	}
	q.text = c.Text
	r, err := q.server.firewall.Restore(ctx, firewall.Restore{Tenant: q.tenantID, Family: c.Family, Text: c.Text, DryRun: true, Operator: q.rights.operator})
	if err != nil {
		return nil, err
	}
	return restoredOf(r), nil
}

func (q *request) explainPacket(ctx context.Context) (any, error) {
	var p api.FirewallPacket
	if err := q.decode(&p); err != nil {
		return nil, err
	}
	if err := checkControl(p.Packet, ""); err != nil {
		return nil, err
	}
	q.text = p.Packet
	e, err := q.server.firewall.Explain(ctx, q.tenantID, p.Packet)
	if err != nil {
		return nil, err
	}
	return explanationOf(e), nil
}

// flushFirewall removes all rules.
func (q *request) flushFirewall(ctx context.Context) (any, error) {
	dry, err := q.dryRun()
	if err != nil {
		return nil, err
	}
	if err := q.changes(dry); err != nil {
		return nil, err
	}
	out := api.FirewallFlushed{DryRun: dry}
	l, err := q.server.firewall.List(ctx, q.tenantID)
	if err == nil {
		out.Rules = RulesOf(l)
	}
	if !dry { // even if what is in force cannot be read
		err = q.server.firewall.Flush(ctx, q.tenantID)
		q.audit("flush", err)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// RulesOf counts the rules of a listing.
func RulesOf(l *firewall.Listing) (n int) {
	for _, f := range l.Families {
		for _, c := range f.Chains {
			n += len(c.Rules)
		}
	}
	return n
}
