// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// FastPath asks an agent for the fast paths of tenants. Its methods are those of
// [accelerator.Manager], and do the same, for one tenant; who asks is known to the agent.
type FastPath struct{ c *Client }

// FastPath returns what asks this agent.
func (c *Client) FastPath() FastPath { return FastPath{c} }

// Status says how the tenant's fast path is.
func (f FastPath) Status(ctx context.Context, q accelerator.Query) (*accelerator.Status, error) {
	var out accelerator.Status
	return &out, f.ask(ctx, http.MethodGet, q.Tenant, "", nil, &out)
}

// Flows lists the tenant's flows, at most limit.
func (f FastPath) Flows(ctx context.Context, q accelerator.Query, limit int) (*accelerator.FlowList, error) {
	var out accelerator.FlowList
	return &out, f.ask(ctx, http.MethodGet, q.Tenant, api.FastPathFlowsPath, url.Values{"limit": {strconv.Itoa(limit)}}, &out)
}

// Flush forgets the tenant's flows, and returns how many there were.
func (f FastPath) Flush(ctx context.Context, q accelerator.Query) (int, error) {
	var out api.FastPathFlushed
	err := f.ask(ctx, http.MethodDelete, q.Tenant, api.FastPathFlowsPath, nil, &out)
	return out.Flows, err
}

// Why says why packets of a flow are slow.
func (f FastPath) Why(ctx context.Context, q accelerator.WhyQuery) (*accelerator.Why, error) {
	query := url.Values{"packet": {q.Packet}}
	if q.Watch != 0 {
		query.Set("watch", q.Watch.String())
	}
	var out accelerator.Why
	return &out, f.ask(ctx, http.MethodGet, q.Tenant, api.FastPathWhyPath, query, &out)
}

// ask sends a request to a path below that of a tenant's fast path.
func (f FastPath) ask(ctx context.Context, method, id, path string, query url.Values, out any) error {
	if err := tenant.CheckID(id); err != nil {
		return err
	}
	target := api.FastPathPath(id) + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	text, err := Firewall(f).send(ctx, method, target, "", nil)
	if err != nil {
		return err
	}
	return decode(text, out)
}
