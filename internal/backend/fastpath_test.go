// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
)

var (
	_ backend.FastPath = client.FastPath{}
	_ backend.FastPath = (*accelerator.Manager)(nil)
)

// Each request reaches the fast path as it was meant, and its answer is as described.
func TestFastPathRequests(t *testing.T) {
	d, fake := describe(t), &fakeFastPath{}
	s := start(t, backend.ServerOptions{FastPath: fake})
	empty := start(t, backend.ServerOptions{FastPath: emptyFastPath{}})
	for _, r := range fastPathRequests() {
		text := requestOf(r.method, fastPathOf+r.path, "", "")
		a := askRaw(s.socket, text)
		if calls := fake.took(); a.Status != 200 || calls != r.call+" operator=true" {
			t.Errorf("%s %s: %d %s; asked for %s, want %s", r.method, r.path, a.Status, a.Body, calls, r.call)
		}
		d.checkAnswer(t, r.method, fastPathOf+r.path, a)
		a = askRaw(empty.socket, text)
		if a.Status != 200 || strings.Contains(a.Body, "null") {
			t.Errorf("%s %s of nothing: %d %s", r.method, r.path, a.Status, a.Body)
		}
		d.checkAnswer(t, r.method, fastPathOf+r.path, a)
	}
}

// What is not a request of the API's is refused with the right code, before the fast path is asked.
func TestFastPathRefusals(t *testing.T) {
	d, fake := describe(t), &fakeFastPath{}
	s := start(t, backend.ServerOptions{FastPath: fake})
	get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
	for _, test := range []struct{ method, path, body, want string }{
		{get, "/why", "", api.CodeBadRequest},
		{get, "/why?packet=", "", api.CodeBadRequest},
		{get, "/why?packet=x%0Ay", "", api.CodeBadRequest},
		{get, "/why?packet=x&watch=", "", api.CodeBadRequest},
		{get, "/why?packet=x&watch=5", "", api.CodeBadRequest},
		{get, "/why?packet=x&watch=-1s", "", api.CodeBadRequest},
		{get, "/why?packet=x&watch=31s", "", api.CodeBadRequest},
		{get, "/why?packet=x&packet=y", "", api.CodeBadRequest},
		{get, "/flows?limit=0", "", api.CodeBadRequest},
		{get, "/flows?limit=100001", "", api.CodeBadRequest},
		{get, "?limit=5", "", api.CodeBadRequest},
		{del, "/flows", "{}", api.CodeBadRequest},
		{del, "/flows?limit=5", "", api.CodeBadRequest},
		{post, "/flows", "", api.CodeMethod},
		{del, "", "", api.CodeMethod},
		{post, "/why", "", api.CodeMethod},
		{post, "/flush", "", api.CodeNotFound},
	} {
		a := askRaw(s.socket, requestOf(test.method, fastPathOf+test.path, "", test.body))
		if a.code() != test.want {
			t.Errorf("%s %s: %d %s, want %s", test.method, test.path, a.Status, a.Body, test.want)
		}
		d.check(t, test.method, fastPathOf+test.path, a.Status, a.Header, []byte(a.Body))
	}
	if calls := fake.took(); calls != "" {
		t.Errorf("the fast path was asked: %q", calls)
	}
}

// A tenant sees its own fast path and flushes it, and cannot tell another's from one that does not
// exist. A reader sees it, and does not flush. The fast path is told that no operator asks.
func TestFastPathIsOnesOwn(t *testing.T) {
	d, fake := describe(t), &fakeFastPath{}
	p := tenantOnly()
	s := start(t, backend.ServerOptions{FastPath: fake, Policy: p})
	p.Readers, p.Tenants = map[string]backend.Access{"red": p.Tenants["red"]}, map[string]backend.Access{}
	reader := start(t, backend.ServerOptions{FastPath: fake, Policy: p})
	for _, r := range fastPathRequests() {
		own := askRaw(s.socket, requestOf(r.method, fastPathOf+r.path, "", ""))
		if calls := fake.took(); own.Status != 200 || calls != r.call+" operator=false" {
			t.Errorf("%s %s: %+v, %s", r.method, r.path, own, calls)
		}
		blue := askRaw(s.socket, requestOf(r.method, strings.Replace(fastPathOf, "red", "blue", 1)+r.path, "", ""))
		none := askRaw(s.socket, requestOf(r.method, strings.Replace(fastPathOf, "red", "green", 1)+r.path, "", ""))
		if blue.Status != 403 || blue.code() != api.CodeNotYours || blue.Body != none.Body || fake.took() != "" {
			t.Errorf("%s %s: blue's %+v, nobody's %+v", r.method, r.path, blue, none)
		}
		a := askRaw(reader.socket, requestOf(r.method, fastPathOf+r.path, "", ""))
		if looks := r.method == http.MethodGet; looks != (a.Status == 200) || looks != (fake.took() != "") || !looks && a.code() != api.CodeReadOnly {
			t.Errorf("%s %s by a reader: %+v", r.method, r.path, a)
		}
		d.checkAnswer(t, r.method, fastPathOf+r.path, a)
	}
}

// What goes wrong is told; what may name others only to the operator.
func TestFastPathErrors(t *testing.T) {
	d := describe(t)
	secret := errors.New("the port of blue is in the way")
	for _, p := range []backend.Policy{policy(), tenantOnly()} {
		operator := len(p.Operators.UIDs) > 0
		for _, test := range []struct {
			err        error
			code, says string
		}{
			{&accelerator.PacketError{Err: &header.WordError{Index: 0, Text: "x", Message: "is not a protocol"}}, api.CodeSyntax, `"column":0,"length":1`},
			{fmt.Errorf("flows: %w", accelerator.ErrNoTenant), map[bool]string{true: api.CodeUnknownTenant, false: api.CodeNotYours}[operator], ""},
			{fmt.Errorf("%w: no TCX", accelerator.ErrUnsupported), api.CodeNoFastPath, "no TCX"},
			{secret, api.CodeFailed, map[bool]string{true: "blue", false: "the agent's log"}[operator]},
		} {
			var log syncBuffer
			s := start(t, backend.ServerOptions{FastPath: &fakeFastPath{err: test.err}, Policy: p, Log: slog.New(slog.NewTextHandler(&log, nil))})
			for _, r := range fastPathRequests() {
				a := askRaw(s.socket, requestOf(r.method, fastPathOf+r.path, "", ""))
				says := test.says
				if test.code == api.CodeSyntax && !strings.Contains(r.path, "why?packet=x") {
					says = "" // of a packet
				}
				if a.code() != test.code || !strings.Contains(a.Body, says) || !operator && strings.Contains(a.Body, "blue") {
					t.Errorf("operator %t: %s %s after %q: %d %s", operator, r.method, r.path, test.err, a.Status, a.Body)
				}
				d.checkAnswer(t, r.method, fastPathOf+r.path, a)
			}
			if errors.Is(test.err, secret) && !strings.Contains(log.String(), secret.Error()) {
				t.Errorf("the log has nothing of it:\n%s", log.String())
			}
		}
	}
	s := start(t, backend.ServerOptions{})
	for _, r := range fastPathRequests() {
		a := askRaw(s.socket, requestOf(r.method, fastPathOf+r.path, "", ""))
		if a.Status != 409 || a.code() != api.CodeNoFastPath {
			t.Errorf("%s %s without a fast path: %d %s", r.method, r.path, a.Status, a.Body)
		}
	}
}

// A flush is logged with who made it; what only looks is not.
func TestFastPathAudit(t *testing.T) {
	var log syncBuffer
	fake := &fakeFastPath{}
	s := start(t, backend.ServerOptions{FastPath: fake, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, r := range fastPathRequests() {
		askRaw(s.socket, requestOf(r.method, fastPathOf+r.path, "", ""))
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `msg="fast path flushed" caller="uid `) || !strings.Contains(text, "tenant=red flows=12") {
		t.Errorf("logged:\n%s", text)
	}
}

// A client asks for the same, and gets the same, as whoever has the fast path itself.
func TestClientOfFastPath(t *testing.T) {
	fake := &fakeFastPath{}
	s := start(t, backend.ServerOptions{FastPath: fake})
	remote, ctx := s.client(t).FastPath(), t.Context()
	red := accelerator.Query{Tenant: "red", Operator: true}
	for what, f := range map[string]func(backend.FastPath) (any, error){
		"status": func(f backend.FastPath) (any, error) { return f.Status(ctx, red) },
		"flows":  func(f backend.FastPath) (any, error) { return f.Flows(ctx, red, 7) },
		"flush":  func(f backend.FastPath) (any, error) { return f.Flush(ctx, red) },
		"why": func(f backend.FastPath) (any, error) {
			return f.Why(ctx, accelerator.WhyQuery{Query: red, Packet: "udp [2001:db8::1]:53 > [2001:db8::2]:5 & x=y"})
		},
		"watch": func(f backend.FastPath) (any, error) {
			return f.Why(ctx, accelerator.WhyQuery{Query: red, Packet: "icmp 192.0.2.1 > 192.0.2.2", Watch: 2500})
		},
	} {
		want, err := f(fake)
		asked := fake.took()
		got, gotErr := f(remote)
		if err != nil || gotErr != nil {
			t.Errorf("%s: %v, %v", what, err, gotErr)
		}
		if through := fake.took(); through != asked {
			t.Errorf("%s: asked for %s through the API, and directly for %s", what, through, asked)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty() /* JSON here has no null */); diff != "" {
			t.Errorf("%s: (-directly +through the API):\n%s", what, diff)
		}
	}
	for _, id := range []string{"", "..", "red/../blue", "red?"} {
		if _, err := remote.Status(ctx, accelerator.Query{Tenant: id}); err == nil || fake.took() != "" {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := remote.Flush(ctx, accelerator.Query{Tenant: "green"}); client.Code(err) != api.CodeUnknownTenant {
		t.Errorf("%v", err)
	}
}
