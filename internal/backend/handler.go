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
type refusal struct {
	code, message string
	// at is the word that is not understood, nil if it is not about one.
	at *api.Position
	// allow lists the methods of a path that has not this one.
	allow string
}

func refuse(code, message string) *refusal { return &refusal{code: code, message: message} }

func badRequest(message string) *refusal { return refuse(api.CodeBadRequest, message) }

// notYours is the answer to whoever has no right, whether or not there is such a tenant.
func notYours() *refusal {
	return refuse(api.CodeNotYours, "there is no such tenant, or you may not see what is its own")
}

func revoked() *api.Problem {
	return &api.Problem{Code: api.CodeRevoked, Message: "the tenant was removed, or you may no longer see what is its own"}
}

// status returns the HTTP status of a code.
func status(code string) int {
	switch code {
	case api.CodeNotYours, api.CodeReadOnly:
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
	case api.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case api.CodeContent:
		return http.StatusUnsupportedMediaType
	case api.CodeNoFirewall, api.CodeNoFastPath:
		return http.StatusConflict
	case api.CodeFailed:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// request is one that is being answered.
type request struct {
	server *Server
	route  *route
	w      http.ResponseWriter
	r      *http.Request
	caller *caller
	rights rights
	feed   *feed // nil where the path names none
	// tenantID, traceID and family are those of the path, "" where it has none.
	tenantID, traceID, family string
	query                     url.Values
	// body is nil if the route takes none; words and text are what is in it for the firewall.
	body  []byte
	words []string
	text  string
	// audited is set if the log has a line about it.
	audited bool
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		w.Header().Set("Connection", "close")
		s.refuse(w, refuse(api.CodeBusy, "the agent ends"))
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
		s.refuse(w, refuse(api.CodeUnauthenticated, "it is not known who you are"))
		return
	}
	if code := s.quotas.request(c.key); code != "" {
		head.Set("Retry-After", "1")
		s.refuse(w, refuse(code, "too many requests at once; try again in a second"))
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
	if r.Method == http.MethodOptions || r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		s.refuse(w, wrongMethod([]string{http.MethodGet, http.MethodHead})) // they are of no path
		return
	}
	to, values, refused := s.find(r.Method, r.URL)
	if refused == nil {
		refused = to.checkBody(r)
	}
	if refused != nil {
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
		}
		s.refuse(w, refused)
		return
	}
	query, refused := to.parse(r.URL.RawQuery)
	if refused != nil {
		s.refuse(w, refused)
		return
	}
	q := &request{
		server: s, route: to, w: w, r: r, caller: c, rights: s.rightsOf(c), tenantID: values["{id}"], traceID: values["{traceID}"], family: values["{family}"], query: query,
	}
	_, ofTenant := values["{id}"]
	switch {
	case to.operator && !q.rights.operator:
		s.refuse(w, refuse(api.CodeNotYours, "only an operator may see what is not one tenant's"))
		return
	case to.operator:
		q.feed = s.hub.operator
	case ofTenant:
		if q.feed, refused = s.feedFor(q.rights, q.tenantID); refused != nil {
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
		return nil, refuse(api.CodeUnknownTenant, "there is no such tenant")
	}
	return nil, notYours()
}

// refuse counts a refusal and says why.
func (s *Server) refuse(w http.ResponseWriter, why *refusal) {
	s.tally.refuse(why.code)
	if why.allow != "" {
		w.Header().Set("Allow", why.allow)
	}
	writeJSON(w, status(why.code), api.Error{Error: api.Problem{Code: why.code, Message: why.message, At: why.at}})
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
