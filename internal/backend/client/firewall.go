// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// changeWithin is how long a change of a firewall may take: a little longer than the agent
// gives it.
const changeWithin = 75 * time.Second

// maxFirewall bounds what is read of an answer about a firewall, which may have a line for each
// of many rules.
const maxFirewall = 128 << 20

// Firewall asks an agent for the firewalls of tenants. Its methods are those of
// [firewall.Manager], and do the same.
type Firewall struct{ c *Client }

// Firewall returns what asks this agent.
func (c *Client) Firewall() Firewall { return Firewall{c} }

// Do carries out one command.
func (f Firewall) Do(ctx context.Context, r firewall.Request) (*firewall.Answer, error) {
	var out firewall.Answer
	body := api.FirewallCommand{Words: r.Words, DryRun: r.DryRun, AffectOthers: r.AffectOthers}
	return &out, f.post(ctx, r.Tenant, "", body, &out)
}

// Restore replaces all rules of one family, or none if one is refused.
func (f Firewall) Restore(ctx context.Context, r firewall.Restore) (*firewall.Restored, error) {
	if err := checkRules(r.Tenant, r.Family); err != nil {
		return nil, err
	}
	var out firewall.Restored
	target := api.RulesPath(r.Tenant, r.Family)
	if r.DryRun {
		target += "?" + url.Values{"dry_run": {"true"}}.Encode()
	}
	text, err := f.send(ctx, http.MethodPut, target, api.ContentText, []byte(r.Text))
	if err != nil {
		return nil, err
	}
	return &out, decode(text, &out)
}

// List returns the tenant's rules and counters.
func (f Firewall) List(ctx context.Context, id string) (*firewall.Listing, error) {
	if err := tenant.CheckID(id); err != nil {
		return nil, err
	}
	text, err := f.send(ctx, http.MethodGet, api.FirewallPath(id), "", nil)
	if err != nil {
		return nil, err
	}
	var out firewall.Listing
	return &out, decode(text, &out)
}

// Save returns the tenant's rules of one family as [Firewall.Restore] takes them.
func (f Firewall) Save(ctx context.Context, id string, family int) (string, error) {
	if err := checkRules(id, family); err != nil {
		return "", err
	}
	text, err := f.send(ctx, http.MethodGet, api.RulesPath(id, family), "", nil)
	return string(text), err
}

// Explain says what becomes of a packet.
func (f Firewall) Explain(ctx context.Context, id, packet string) (*firewall.Explanation, error) {
	var out firewall.Explanation
	return &out, f.post(ctx, id, api.FirewallExplainPath, api.FirewallPacket{Packet: packet}, &out)
}

// Flush removes the tenant's rules, counters and files.
func (f Firewall) Flush(ctx context.Context, id string) error {
	if err := tenant.CheckID(id); err != nil {
		return err
	}
	_, err := f.send(ctx, http.MethodDelete, api.FirewallPath(id), "", nil)
	return err
}

func checkRules(id string, family int) error {
	if family != 4 && family != 6 {
		return errors.New("the family " + strconv.Itoa(family) + " is not 4 or 6")
	}
	return tenant.CheckID(id)
}

// post sends JSON to a path below that of a tenant's firewall.
func (f Firewall) post(ctx context.Context, id, path string, body, out any) error {
	if err := tenant.CheckID(id); err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if text, err = f.send(ctx, http.MethodPost, api.FirewallPath(id)+path, api.ContentJSON, text); err != nil {
		return err
	}
	return decode(text, out)
}

// send returns the body of the answer.
func (f Firewall) send(ctx context.Context, method, target, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, f.c.base+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := send(f.c.patient, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFirewall+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the agent's answer broke off: %w", err)
	case len(text) > maxFirewall:
		return nil, errors.New("the agent's answer is too long")
	}
	return text, nil
}
