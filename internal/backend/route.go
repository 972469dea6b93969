// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// route is one path of the API. Its own little router is stricter than that of net/http: it
// knows neither redirects nor escapes, and nothing in a path is cleaned up.
type route struct {
	// pattern is as OpenAPI has it: {id}, {traceID} and {family} stand for a part.
	pattern string
	// method is "" for GET and HEAD.
	method string
	// operator is set for what only an operator may see.
	operator bool
	// query has the parameters that it takes.
	query []string
	// body is the type of the body that a request must have, and maxBody the number of its
	// bytes; "" if it must not have any.
	body    string
	maxBody int64
	handle  func(*request)
}

// The parameters.
const (
	queryLast       = "last"
	queryLimit      = "limit"
	queryOutcome    = "outcome"
	querySlowerThan = "slower_than"
	queryDryRun     = "dry_run"
	queryPacket     = "packet"
	queryWatch      = "watch"
)

// routes lists all paths.
func routes() []route {
	stream := []string{queryLast, queryOutcome, querySlowerThan}
	pings := []string{queryLimit}
	const one = api.PathTenants + "/{id}"
	return slices.Concat([]route{
		{pattern: api.PathOpenAPI, handle: (*request).openAPI},
		{pattern: api.PathTenants, handle: (*request).tenants},
		{pattern: one, handle: (*request).tenant},
		{pattern: one + "/summary", handle: (*request).summary},
		{pattern: one + "/pings", query: pings, handle: (*request).pings},
		{pattern: one + "/probes", handle: (*request).probes},
		{pattern: one + "/traces", query: stream, handle: (*request).traces},
		{pattern: one + "/traces/{traceID}", handle: (*request).trace},
		{pattern: api.PathSummary, operator: true, handle: (*request).summary},
		{pattern: api.PathPings, operator: true, query: pings, handle: (*request).pings},
		{pattern: api.PathProbes, operator: true, handle: (*request).probes},
		{pattern: api.PathTraces, operator: true, query: stream, handle: (*request).traces},
		{pattern: api.PathTraces + "/{traceID}", operator: true, handle: (*request).trace},
	}, firewallRoutes(one+"/firewall"), fastPathRoutes(one+"/fastpath"))
}

// maxPath is longer than any path that is one of the API's.
const maxPath = 200

// find returns the route of a request, and what stands for {id}, {traceID} and {family}.
func (s *Server) find(method string, u *url.URL) (to *route, values map[string]string, refused *refusal) {
	path := u.EscapedPath()
	if len(path) > maxPath || strings.Contains(path, "%") {
		return nil, nil, badRequest("the path has what no path of the API has")
	}
	parts := strings.Split(path, "/")
	var allowed []string
	for i := range s.routes {
		r := &s.routes[i]
		values, ok := match(r.pattern, parts)
		switch {
		case ok && r.takes(method):
			return r, values, checkValues(values)
		case ok:
			allowed = append(allowed, r.methods()...)
		}
	}
	if allowed != nil {
		return nil, nil, wrongMethod(allowed)
	}
	return nil, nil, &refusal{code: api.CodeNotFound, message: "the API has no such path; " + api.PathOpenAPI + " lists them"}
}

func (r *route) methods() []string {
	if r.method == "" {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.method}
}

func (r *route) takes(method string) bool { return slices.Contains(r.methods(), method) }

// wrongMethod refuses a method that a path does not have.
func wrongMethod(allowed []string) *refusal {
	list := strings.Join(allowed, ", ")
	return &refusal{code: api.CodeMethod, message: "the methods here are " + list, allow: list}
}

// match compares the parts of a path with a pattern.
func match(pattern string, parts []string) (values map[string]string, ok bool) {
	want := strings.Split(pattern, "/")
	if len(want) != len(parts) {
		return nil, false
	}
	for i, w := range want {
		switch {
		case strings.HasPrefix(w, "{"):
			if values == nil {
				values = map[string]string{}
			}
			values[w] = parts[i]
		case w != parts[i]:
			return nil, false
		}
	}
	return values, true
}

func checkValues(values map[string]string) *refusal {
	if id, ok := values["{id}"]; ok && tenant.CheckID(id) != nil {
		return badRequest("the ID of the tenant is not a valid one")
	}
	if f, ok := values["{family}"]; ok && f != "4" && f != "6" {
		return badRequest("the family is not a valid one: it is 4 or 6")
	}
	if id, ok := values["{traceID}"]; ok && !isTraceID(id) {
		return badRequest("the trace ID is not a valid one: it has 32 digits 0-9a-f")
	}
	return nil
}

func isTraceID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// parse reads the query. A parameter that is not known, or given twice, is an error: what
// a caller asks for must not be more than it believes.
func (r *route) parse(raw string) (url.Values, *refusal) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("the query is not a valid one")
	}
	for name, list := range values {
		if !slices.Contains(r.query, name) {
			return nil, badRequest("the query has a parameter that this path does not take")
		}
		if len(list) != 1 {
			return nil, badRequest(name + " is given more than once")
		}
	}
	return values, nil
}
