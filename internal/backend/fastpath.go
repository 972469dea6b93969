// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// FastPath is that of the tenants, as [accelerator.Manager] has it. What it answers a tenant has
// nothing in it of others.
type FastPath interface {
	Status(context.Context, accelerator.Query) (*accelerator.Status, error)
	Flows(ctx context.Context, q accelerator.Query, limit int) (*accelerator.FlowList, error)
	Flush(context.Context, accelerator.Query) (int, error)
	Why(context.Context, accelerator.WhyQuery) (*accelerator.Why, error)
}

// defaultFlows is how many flows are listed unless the caller says otherwise.
const defaultFlows = 1000

// fastPathRoutes lists the paths below that of a tenant's fast path.
func fastPathRoutes(base string) []route {
	asks := func(method, path string, query []string, f answerer) route {
		return route{pattern: base + path, method: method, query: query, handle: func(q *request) { q.askFastPath(f) }}
	}
	return []route{
		asks("", "", nil, (*request).fastPath),
		asks("", api.FastPathFlowsPath, []string{queryLimit}, (*request).fastPathFlows),
		asks(http.MethodDelete, api.FastPathFlowsPath, nil, (*request).flushFastPath),
		asks("", api.FastPathWhyPath, []string{queryPacket, queryWatch}, (*request).whySlow),
	}
}

// askFastPath answers a request with what the fast path says.
func (q *request) askFastPath(f answerer) {
	if q.server.fastPath == nil {
		q.refuse(refuse(api.CodeNoFastPath, "the agent has no fast path"))
		return
	}
	q.work(fastPathWork, f)
}

func (q *request) ofFastPath() accelerator.Query {
	return accelerator.Query{Tenant: q.tenantID, Operator: q.rights.operator}
}

func (q *request) fastPath(ctx context.Context) (any, error) {
	s, err := q.server.fastPath.Status(ctx, q.ofFastPath())
	if err != nil {
		return nil, err
	}
	out := *s
	out.Tenants, out.Devices = notNil(slices.Clone(s.Tenants)), notNil(s.Devices)
	for i := range out.Tenants {
		for _, c := range []*accelerator.Counts{&out.Tenants[i].From, &out.Tenants[i].To} {
			if c.Slow == nil {
				c.Slow = map[string]uint64{}
			}
		}
	}
	return out, nil
}

func (q *request) fastPathFlows(ctx context.Context) (any, error) {
	limit, refused := q.number(queryLimit, defaultFlows, 1)
	if refused != nil {
		return nil, refusedError{refused}
	}
	l, err := q.server.fastPath.Flows(ctx, q.ofFastPath(), limit)
	if err != nil {
		return nil, err
	}
	out := *l
	out.Flows = notNil(l.Flows)
	return out, nil
}

// flushFastPath forgets what was learnt.
func (q *request) flushFastPath(ctx context.Context) (any, error) {
	if !q.rights.mayChange(q.tenantID) {
		return nil, refusedError{refuse(api.CodeReadOnly, "you may see this fast path, and not flush it")}
	}
	n, err := q.server.fastPath.Flush(ctx, q.ofFastPath())
	attrs := []any{"caller", q.caller.name(), "operator", q.rights.operator, "tenant", q.tenantID}
	q.audited = true
	if err != nil {
		q.server.log.Warn("flush of a fast path failed", append(attrs, "error", err)...)
		return nil, err
	}
	q.server.log.Info("fast path flushed", append(attrs, "flows", n)...)
	return api.FastPathFlushed{Flows: n}, nil
}

// whySlow says why packets of a flow are slow.
func (q *request) whySlow(ctx context.Context) (any, error) {
	packet := q.query.Get(queryPacket)
	if packet == "" {
		return nil, refusedError{badRequest("which packet? Give it as packet=icmp 192.168.0.10 > 203.0.113.8, escaped")}
	}
	if err := checkControl(packet, ""); err != nil {
		return nil, err
	}
	watch, err := q.watch()
	if err != nil {
		return nil, err
	}
	q.text = packet
	w, err := q.server.fastPath.Why(ctx, accelerator.WhyQuery{Query: q.ofFastPath(), Packet: packet, Watch: watch})
	if err != nil {
		return nil, err
	}
	out := *w
	out.Reasons, out.Flows = notNil(w.Reasons), notNil(w.Flows)
	return out, nil
}

// watch reads the parameter, which is 0 if it is not given.
func (q *request) watch() (time.Duration, error) {
	if !q.query.Has(queryWatch) {
		return 0, nil
	}
	d, err := time.ParseDuration(q.query.Get(queryWatch))
	if err != nil || d < 0 || d > api.MaxWatch {
		return 0, refusedError{badRequest(queryWatch + " is not a valid duration of at most " + api.MaxWatch.String() + ", such as 10s")}
	}
	return d, nil
}
