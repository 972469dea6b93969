// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// described is the description with what finds a path in it.
type described struct {
	doc    *openapi3.T
	router routers.Router
}

// description returns all parts of the page.
func description(t testing.TB) []byte {
	t.Helper()
	var text []byte
	for _, name := range []string{"openapi.yaml", "openapi_components.yaml", "openapi_probes.yaml", "openapi_fastpath.yaml"} {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part...)
	}
	return text
}

func describe(t testing.TB) described {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(description(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"application/x-ndjson", "application/yaml"} {
		if openapi3filter.RegisteredBodyDecoder(code) == nil {
			openapi3filter.RegisterBodyDecoder(code, openapi3filter.FileBodyDecoder)
		}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return described{doc, router}
}

// check fails unless the answer is one that the description has for this path. It reports
// whether it has the path.
func (d described) check(t testing.TB, method, target string, status int, header http.Header, body []byte) bool {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+target, http.NoBody)
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		return false
	}
	for _, text := range lines(header, body) {
		h := header.Clone()
		h.Set("Content-Type", strings.Replace(h.Get("Content-Type"), api.ContentStream, api.ContentJSON, 1))
		if h.Get("Content-Type") == api.ContentJSON && route.Operation.Responses.Status(status) != nil {
			route.Operation.Responses.Status(status).Value.Content[api.ContentJSON] = jsonOf(route, status)
		}
		err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
			Status:                 status, Header: h, Body: io.NopCloser(bytes.NewReader(text)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		})
		if err != nil {
			t.Errorf("%s %s: %d is not as described: %v", method, target, status, err)
		}
	}
	return true
}

// jsonOf returns what JSON is to be like; each line of a stream is JSON.
func jsonOf(route *routers.Route, status int) *openapi3.MediaType {
	content := route.Operation.Responses.Status(status).Value.Content
	if m := content[api.ContentStream]; m != nil {
		return m
	}
	return content[api.ContentJSON]
}

// lines returns what is to be like the schema.
func lines(header http.Header, body []byte) [][]byte {
	if header.Get("Content-Type") == api.ContentStream {
		return bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	return [][]byte{body}
}

// Every path that is described is answered, and the other way round.
func TestDescriptionHasTheRoutes(t *testing.T) {
	got := map[[2]string][]string{}
	for path, item := range describe(t).doc.Paths.Map() {
		for method, op := range item.Operations() {
			key := [2]string{method, path}
			got[key] = nil
			for _, p := range op.Parameters {
				got[key] = append(got[key], p.Value.Name)
			}
		}
	}
	if diff := cmp.Diff(backend.Patterns(), got); diff != "" {
		t.Errorf("paths with their parameters (-served +described):\n%s", diff)
	}
	codes := describe(t).doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum
	for _, reason := range api.Reasons() {
		if !ofConnections(reason) && !slices.Contains(codes, any(reason)) {
			t.Errorf("the code %s is not described", reason)
		}
	}
}

// ofConnections reports whether a reason is one for which connections are refused.
func ofConnections(reason string) bool {
	return slices.Contains([]string{api.ReasonConnections, api.ReasonNoCredentials, api.ReasonNoCertificate, api.ReasonBadCertificate}, reason)
}

// What is answered is as described, for each path and for each kind of trace.
func TestAnswersAreAsDescribed(t *testing.T) {
	d := describe(t)
	s := start(t, backend.ServerOptions{})
	all := tracetest.All()
	s.hub.Take("red", all)
	s.hub.Operator(all)
	for route, query := range backend.Patterns() {
		if route[0] != http.MethodGet {
			continue // in the tests of the firewall
		}
		for _, id := range []string{"red", "blue", "green", "%2e%2e"} {
			for _, traceID := range []string{all[2].ID.String(), strings.Repeat("0", 32), "x"} {
				target := strings.NewReplacer("{id}", id, "{traceID}", traceID, "{family}", "4").Replace(route[1])
				if slices.Contains(query, "limit") {
					target += "?limit=5"
				}
				a := ask(s.socket, target)
				if a.Err != "" {
					t.Errorf("%s: %s", target, a.Err)
				}
				if a.Header.Get("Content-Type") == api.ContentStream {
					continue // below
				}
				if !d.check(t, http.MethodGet, target, a.Status, a.Header, []byte(a.Body)) && id != "%2e%2e" {
					t.Errorf("%s is not described", target)
				}
			}
		}
	}
	body := strings.Join(streamed(t, s, "/v1/tenants/red/traces?last=100", len(all)+1), "\n")
	d.check(t, http.MethodGet, "/v1/tenants/red/traces", 200, http.Header{"Content-Type": {api.ContentStream}}, []byte(body))
}

// The description that is served is the one that is checked.
func TestDescriptionIsServed(t *testing.T) {
	want := description(t)
	s := start(t, backend.ServerOptions{})
	if a := ask(s.socket, api.PathOpenAPI); a.Body != string(want) || a.Header.Get("Content-Type") != api.ContentYAML {
		t.Errorf("%d %s, %d bytes", a.Status, a.Header.Get("Content-Type"), len(a.Body))
	}
}
