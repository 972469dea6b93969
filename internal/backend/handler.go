// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// callerKey is that of the caller in the context of a connection to the unix socket.
type callerKey struct{}

// refusal is why a request is not answered: a code of the API and words.
type refusal struct{ code, message string }

func badRequest(message string) *refusal { return &refusal{api.CodeBadRequest, message} }

// notYours is the answer to whoever has no right, whether or not there is such a tenant.
func notYours() *refusal {
	return &refusal{api.CodeNotYours, "there is no such tenant, or you may not see what is its own"}
}

func revoked() *api.Problem {
	return &api.Problem{Code: api.CodeRevoked, Message: "the tenant was removed, or you may no longer see what is its own"}
}

// status returns the HTTP status of a code.
func status(code string) int {
	switch code {
	case api.CodeNotYours:
		return http.StatusForbidden
	case api.CodeUnknownTenant, api.CodeUnknownTrace, api.CodeNotFound:
		return http.StatusNotFound
	case api.CodeUnauthenticated:
		return http.StatusUnauthorized
	case api.CodeMethod:
		return http.StatusMethodNotAllowed
	case api.CodeTooMany:
		return http.StatusTooManyRequests
	case api.CodeBusy:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// request is one that is being answered.
type request struct {
	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	caller  *caller
	rights  rights
	feed    *feed // nil where the path names none
	traceID string
	query   url.Values
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		w.Header().Set("Connection", "close")
		s.refuse(w, &refusal{api.CodeBusy, "the agent ends"})
		return
	}
	defer s.handling.Done()
	s.tally.requests.Add(1)
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	c, _ := r.Context().Value(callerKey{}).(*caller)
	if c == nil {
		c = s.callerOf(r.TLS)
	}
	if c == nil {
		s.refuse(w, &refusal{api.CodeUnauthenticated, "it is not known who you are"})
		return
	}
	if code := s.quotas.request(c.key); code != "" {
		head.Set("Retry-After", "1")
		s.refuse(w, &refusal{code, "too many requests at once; try again in a second"})
		return
	}
	defer s.quotas.done(c.key)
	s.answer(w, r, c)
}

// begin counts a request, unless the server ends.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.handling.Add(1)
	}
	return !s.ending
}

// answer finds out what is asked for, and whether the caller may.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *caller) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.refuse(w, &refusal{api.CodeMethod, "the API is only read: use GET or HEAD"})
		return
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		s.refuse(w, badRequest("a request must not have a body"))
		return
	}
	to, values, refused := s.find(r.URL)
	if refused != nil {
		s.refuse(w, refused)
		return
	}
	query, refused := to.parse(r.URL.RawQuery)
	if refused != nil {
		s.refuse(w, refused)
		return
	}
	q := &request{server: s, w: w, r: r, caller: c, rights: s.rightsOf(c), traceID: values["{traceID}"], query: query}
	id, ofTenant := values["{id}"]
	switch {
	case to.operator && !q.rights.operator:
		s.refuse(w, &refusal{api.CodeNotYours, "only an operator may see what is not one tenant's"})
		return
	case to.operator:
		q.feed = s.hub.operator
	case ofTenant:
		if q.feed, refused = s.feedFor(q.rights, id); refused != nil {
			s.refuse(w, refused)
			return
		}
	}
	to.handle(q)
}

// feedFor returns the feed of a tenant. Only an operator is told that there is no such tenant.
func (s *Server) feedFor(may rights, id string) (*feed, *refusal) {
	if !may.may(id) {
		return nil, notYours()
	}
	f := s.hub.feed(id)
	switch {
	case f != nil:
		return f, nil
	case may.operator:
		return nil, &refusal{api.CodeUnknownTenant, "there is no such tenant"}
	}
	return nil, notYours()
}

// refuse counts a refusal and says why.
func (s *Server) refuse(w http.ResponseWriter, why *refusal) {
	s.tally.refuse(why.code)
	writeJSON(w, status(why.code), api.Error{Error: api.Problem{Code: why.code, Message: why.message}})
}

func (q *request) refuse(why *refusal) { q.server.refuse(q.w, why) }

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic("backend: " + err.Error()) // the types of package api can all be written
	}
	write(w, status, api.ContentJSON, append(text, '\n'))
}

func write(w http.ResponseWriter, status int, contentType string, text []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // whoever has gone need not be told
}
