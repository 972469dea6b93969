// SPDX-License-Identifier: Apache-2.0

package backend

import (
	_ "embed"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// The parts of the description, which is one page.
var (
	//go:embed openapi.yaml
	paths string
	//go:embed openapi_components.yaml
	components string
	//go:embed openapi_probes.yaml
	ofProbes string
	//go:embed openapi_fastpath.yaml
	ofFastPath string
)

func (q *request) openAPI() {
	write(q.w, http.StatusOK, api.ContentYAML, []byte(paths+components+ofProbes+ofFastPath))
}

// tenants lists those that the caller may see.
func (q *request) tenants() {
	out := api.Tenants{Tenants: []api.Tenant{}, Operator: q.rights.operator}
	for _, id := range q.server.hub.tenants() {
		if q.rights.may(id) {
			if f := q.server.hub.feed(id); f != nil {
				out.Tenants = append(out.Tenants, f.tenantInfo())
			}
		}
	}
	writeJSON(q.w, http.StatusOK, out)
}

func (q *request) tenant() { writeJSON(q.w, http.StatusOK, q.feed.tenantInfo()) }

func (q *request) summary() { writeJSON(q.w, http.StatusOK, q.feed.summary()) }

// defaultPings is how many pings are shown unless the caller says otherwise.
const defaultPings = 100

func (q *request) pings() {
	n, refused := q.number(queryLimit, defaultPings, 1)
	if refused != nil {
		q.refuse(refused)
		return
	}
	writeJSON(q.w, http.StatusOK, q.feed.lastPings(n))
}

// trace returns one of the last traces.
func (q *request) trace() {
	var id trace.ID
	_, err := hex.Decode(id[:], []byte(q.traceID))
	t := q.feed.find(id)
	if err != nil || t == nil {
		q.refuse(refuse(api.CodeUnknownTrace, "there is no such trace among the last ones"))
		return
	}
	text, err := q.server.hub.encode(nil, t)
	if err != nil {
		q.server.log.Error("a trace cannot be encoded", "error", err)
		q.refuse(refuse(api.CodeUnknownTrace, "the trace cannot be shown"))
		return
	}
	write(q.w, http.StatusOK, api.ContentJSON, text)
}

// maxNumber is the largest number that a parameter may be.
const maxNumber = 100_000

// number reads a parameter that is a number.
func (q *request) number(name string, otherwise, least int) (int, *refusal) {
	text := q.query.Get(name)
	if !q.query.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > maxNumber {
		return 0, badRequest(name + " is not a number from " + strconv.Itoa(least) + " to " + strconv.Itoa(maxNumber))
	}
	return n, nil
}

// filter reads which traces a stream is to have.
func (q *request) filter() (f filter, refused *refusal) {
	if q.query.Has(queryOutcome) {
		all := trace.Outcomes()
		i := slices.IndexFunc(all, func(o trace.Outcome) bool { return o.String() == q.query.Get(queryOutcome) })
		if i < 0 {
			return f, badRequest(queryOutcome + " is not the name of an outcome, such as complete or dropped")
		}
		f.outcome = all[i]
	}
	if q.query.Has(querySlowerThan) {
		d, err := time.ParseDuration(q.query.Get(querySlowerThan))
		if err != nil || d < 0 {
			return f, badRequest(querySlowerThan + " is not a duration, such as 5ms")
		}
		f.slowerThan = int64(d)
	}
	return f, nil
}
