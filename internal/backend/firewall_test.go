// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// Each request reaches the firewall as it was meant, and its answer is as described.
func TestFirewallRequests(t *testing.T) {
	d, fake := describe(t), &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake})
	for _, r := range firewallRequests() {
		a := askRaw(s.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
		if calls := strings.Join(fake.took(), ","); a.Status != 200 || calls != r.call {
			t.Errorf("%s %s: %d %s; asked for %s, want %s", r.method, r.path, a.Status, a.Body, calls, r.call)
		}
		d.checkAnswer(t, r.method, red+r.path, a)
	}
	var flushed api.FirewallFlushed
	a := askRaw(s.socket, requestOf(http.MethodDelete, red+"?dry_run=true", "", ""))
	if err := json.Unmarshal([]byte(a.Body), &flushed); err != nil || flushed != (api.FirewallFlushed{Rules: 1, DryRun: true}) {
		t.Errorf("flushed: %+v, %v", flushed, err)
	}
}

// What is not a request of the API's is refused with the right code, before the firewall is
// asked.
func TestFirewallRefusals(t *testing.T) {
	d, fake := describe(t), &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake})
	post, put, del := http.MethodPost, http.MethodPut, http.MethodDelete
	long := `{"words":["` + strings.Repeat("x", api.MaxCommand) + `"]}`
	chunked := "POST " + red + " HTTP/1.1\r\nHost: dwell\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(long), long)
	for i, test := range []struct{ method, path, contentType, body, want string }{
		{post, "", "", icmp, api.CodeContent},
		{post, "", "text/plain", icmp, api.CodeContent},
		{post, "", "application/x-www-form-urlencoded", icmp, api.CodeContent},
		{put, "/rules/4", jsonType, "*filter", api.CodeContent},
		{post, "", jsonType, "", api.CodeBadRequest},
		{put, "/rules/4", textType, "", api.CodeBadRequest},
		{del, "", jsonType, "{}", api.CodeBadRequest},
		{post, "", jsonType, long, api.CodeTooLarge},
		{put, "/rules/4", textType, strings.Repeat("\n", api.MaxRules+1), api.CodeTooLarge},
		{post, "", jsonType, "{", api.CodeBadRequest},
		{post, "", jsonType, icmp + icmp, api.CodeBadRequest},
		{post, "", jsonType, `{"words":[]}`, api.CodeBadRequest},
		{post, "", jsonType, `{"words":[""` + strings.Repeat(`,""`, 1000) + `]}`, api.CodeBadRequest},
		{post, "", jsonType, `{"words":["iptables","-F"],"dryrun":true}`, api.CodeBadRequest},
		{post, "", jsonType, `{"words":["iptables","-A","FORWARD","--comment","a\nCOMMIT"]}`, api.CodeBadRequest},
		{post, "", jsonType, `{"words":["iptables\u0000"]}`, api.CodeBadRequest},
		{put, "/rules/4", textType, "*filter\x00", api.CodeBadRequest},
		{put, "/rules/4", textType, "*filter\xff", api.CodeBadRequest},
		{put, "/rules/5", textType, "*filter", api.CodeBadRequest},
		{put, "/rules/", textType, "*filter", api.CodeBadRequest},
		{put, "/rules/4?dry_run=yes", textType, "*filter", api.CodeBadRequest},
		{put, "/rules/4?dry_run=", textType, "*filter", api.CodeBadRequest},
		{put, "/rules/4?dry-run=true", textType, "*filter", api.CodeBadRequest},
		{del, "?dry_run=1", "", "", api.CodeBadRequest},
		{post, "/check", jsonType, `{"words":["iptables"],"family":4}`, api.CodeBadRequest},
		{post, "/check", jsonType, `{"family":5,"text":"*filter"}`, api.CodeBadRequest},
		{post, "/check", jsonType, `{"family":4,"text":"*filter","affect_others":true}`, api.CodeBadRequest},
		{post, "/check", jsonType, `{"family":4,"text":"\u0001"}`, api.CodeBadRequest},
		{post, "/explain", jsonType, `{"packet":"icmp\n"}`, api.CodeBadRequest},
		{post, "/rules/4", textType, "*filter", api.CodeMethod},
		{put, "", jsonType, icmp, api.CodeMethod},
		{http.MethodPatch, "", jsonType, icmp, api.CodeMethod},
		{http.MethodGet, "/check", "", "", api.CodeMethod},
		{post, "/flush", jsonType, "{}", api.CodeNotFound},
	} {
		a := askRaw(s.socket, requestOf(test.method, red+test.path, test.contentType, test.body))
		if a.code() != test.want || (test.want == api.CodeMethod) != (a.Header.Get("Allow") != "") {
			t.Errorf("%d: %s %s %.60q: %d %s, want %s", i, test.method, test.path, test.body, a.Status, a.Body, test.want)
		}
		d.check(t, test.method, red+test.path, a.Status, a.Header, []byte(a.Body))
	}
	if a := askRaw(s.socket, chunked); a.code() != api.CodeTooLarge {
		t.Errorf("a large body of unknown length: %+v", a)
	}
	if calls := fake.took(); calls != nil {
		t.Errorf("the firewall was asked: %q", calls)
	}
	n := s.server.Stats().Refused
	if n[api.CodeTooLarge] != 3 || n[api.CodeContent] != 4 {
		t.Errorf("counted: %v", n)
	}
	if a := askRaw(s.socket, requestOf(http.MethodPut, red, jsonType, icmp)); a.Header.Get("Allow") != "GET, HEAD, POST, DELETE" {
		t.Errorf("Allow: %q", a.Header.Get("Allow"))
	}
}

// What goes wrong in the firewall is told; what may name others only to the operator.
func TestFirewallErrors(t *testing.T) {
	d := describe(t)
	secret := errors.New("the rule of blue is in the way")
	for _, p := range []backend.Policy{policy(), tenantOnly()} {
		operator := len(p.Operators.UIDs) > 0
		for _, test := range []struct {
			err  error
			code string
			says string
		}{
			{&firewall.CommandError{Err: errors.New(`"DROPP" is not a valid target`)}, api.CodeSyntax, "DROPP"},
			{fmt.Errorf("list: %w", firewall.ErrNoTenant), map[bool]string{true: api.CodeUnknownTenant, false: api.CodeNotYours}[operator], ""},
			{fmt.Errorf("%w: it has no port yet", firewall.ErrNoFirewall), api.CodeNoFirewall, "no port yet"},
			{secret, api.CodeFailed, map[bool]string{true: "blue", false: "the agent's log"}[operator]},
		} {
			var log syncBuffer
			s := start(t, backend.ServerOptions{Firewall: &fakeFirewall{err: test.err}, Policy: p, Log: slog.New(slog.NewTextHandler(&log, nil))})
			for _, r := range firewallRequests() {
				a := askRaw(s.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
				if a.code() != test.code || !strings.Contains(a.Body, test.says) || !operator && strings.Contains(a.Body, "blue") {
					t.Errorf("operator %t: %s %s after %q: %d %s", operator, r.method, r.path, test.err, a.Status, a.Body)
				}
				d.checkAnswer(t, r.method, red+r.path, a)
			}
			if errors.Is(test.err, secret) && !strings.Contains(log.String(), secret.Error()) {
				t.Errorf("the log has nothing of it:\n%s", log.String())
			}
		}
	}
}

// Without a firewall, the agent says so.
func TestNoFirewall(t *testing.T) {
	d := describe(t)
	s := start(t, backend.ServerOptions{})
	for _, r := range firewallRequests() {
		a := askRaw(s.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
		if a.Status != 409 || a.code() != api.CodeNoFirewall {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
		}
		d.checkAnswer(t, r.method, red+r.path, a)
	}
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Each change is logged with who made it and what the answer was; what changes nothing is not.
func TestFirewallAudit(t *testing.T) {
	var log syncBuffer
	fake := &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	uid := fmt.Sprintf(`"caller":"uid %d"`, os.Getuid())
	for _, test := range []struct {
		method, path, contentType, body string
		want                            []string
	}{
		{http.MethodPost, "", jsonType, `{"words":["iptables","-A","FORWARD","-m","comment","--comment","a b","-j","DROP"]}`, []string{`"command":"iptables -A FORWARD -m comment --comment 'a b' -j DROP"`, `"answer":"tc"`, `"reason":"programs`, `"affect_others":false`}},
		{http.MethodPost, "", jsonType, `{"words":["iptables","-t","nat","-F"]}`, []string{`"answer":"refused"`}},
		{http.MethodPost, "", jsonType, `{"words":["` + strings.Repeat("é", 5000) + `"]}`, []string{`é…"`}},
		{http.MethodPut, "/rules/6", textType, "x", []string{`"command":"restore of IPv6"`, `"bytes":1`, `"sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"`, `"answer":"done"`}},
		{http.MethodDelete, "", "", "", []string{`"command":"flush"`}},
	} {
		askRaw(s.socket, requestOf(test.method, red+test.path, test.contentType, test.body))
		line := log.String()
		for _, want := range append(test.want, uid, `"tenant":"red"`, `"msg":"firewall change"`, `"operator":true`) {
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, want) || len(line) > 4000 {
				t.Errorf("%s %s: no %s in\n%s", test.method, test.path, want, line)
			}
		}
		log.mu.Lock()
		log.b.Reset()
		log.mu.Unlock()
	}
	for _, r := range firewallRequests() {
		if !strings.Contains(r.call, "dry=false") && !strings.Contains(r.call, "flush") {
			askRaw(s.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
		}
	}
	for _, words := range []string{`"-S"`, `"-L","FORWARD","-vn"`, `"-C","FORWARD","-p","icmp","-j","DROP"`} {
		askRaw(s.socket, requestOf(http.MethodPost, red, jsonType, `{"words":["iptables",`+words+`]}`))
	}
	if log.String() != "" {
		t.Errorf("logged, though nothing was changed: %s", log.String())
	}
	fake.err = &firewall.CommandError{Err: errors.New("no such target")}
	askRaw(s.socket, requestOf(http.MethodPost, red, jsonType, icmp))
	if log.String() != "" {
		t.Errorf("logged, though it was not understood: %s", log.String())
	}
	fake.err = errors.New("no room")
	askRaw(s.socket, requestOf(http.MethodPost, red, jsonType, icmp))
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"msg":"firewall change failed"`) || !strings.Contains(text, `"error":"no room"`) {
		t.Errorf("a change that failed: %s", text)
	}
}

// A change may take longer than a request may take to be read, but not for ever. It is told
// when its caller has gone.
func TestFirewallTakesItsTime(t *testing.T) {
	const read = 200 * time.Millisecond
	fake := &fakeFirewall{wait: func(ctx context.Context) error {
		timer := time.NewTimer(3 * read)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	s := start(t, backend.ServerOptions{Firewall: fake}.WithTimeouts(read, time.Minute))
	if a := askRaw(s.socket, requestOf(http.MethodPost, red, jsonType, icmp)); a.Status != 200 {
		t.Errorf("a slow change: %+v", a)
	}
	late := &fakeFirewall{wait: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	s = start(t, backend.ServerOptions{Firewall: late}.WithTimeouts(time.Minute, 50*time.Millisecond))
	if a := askRaw(s.socket, requestOf(http.MethodPost, red, jsonType, icmp)); a.Status != 503 || a.code() != api.CodeBusy {
		t.Errorf("one that takes for ever: %+v", a)
	}
	began, gone := make(chan struct{}), make(chan struct{})
	left := &fakeFirewall{wait: func(ctx context.Context) error { close(began); <-ctx.Done(); close(gone); return ctx.Err() }}
	s = start(t, backend.ServerOptions{Firewall: left})
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, requestOf(http.MethodPost, red, jsonType, icmp)); err != nil {
		t.Fatal(err)
	}
	<-began
	c.Close()
	<-gone
}

// A body that does not come is not a reason to wait, and a right that is taken back while it
// comes is gone.
func TestFirewallBodyComesLate(t *testing.T) {
	fake := &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake}.WithTimeouts(100*time.Millisecond, time.Minute))
	whole := requestOf(http.MethodPost, red, jsonType, icmp)
	if a := askRaw(s.socket, whole[:len(whole)-1]); a.code() != api.CodeBadRequest {
		t.Errorf("a body that stops: %+v", a)
	}
	s = start(t, backend.ServerOptions{Firewall: fake, Policy: tenantOnly()})
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.Replace(whole[:len(whole)-1], "\r\n", "\r\nExpect: 100-continue\r\n", 1)); err != nil {
		t.Fatal(err)
	}
	// It says that it goes on when it begins to read.
	buf := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
	p := policy()
	p.Operators.UIDs, p.Tenants["red"] = nil, backend.Access{UIDs: []uint32{1}}
	commit, err := s.server.Prepare(p, false)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if _, err := io.WriteString(c, whole[len(whole)-1:]); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(rest), api.CodeNotYours) {
		t.Errorf("%s, %v", rest, err)
	}
	if calls := fake.took(); calls != nil {
		t.Errorf("the firewall was asked: %q", calls)
	}
}

// One client cannot have the firewall to itself, nor all tenants keep the operator out.
func TestFirewallQuotas(t *testing.T) {
	wait := make(chan struct{})
	began := make(chan struct{}, 10)
	fake := &fakeFirewall{wait: func(context.Context) error { began <- struct{}{}; <-wait; return nil }}
	limits := wide()
	limits.ClientFirewall, limits.Firewall = 2, 1
	s := start(t, backend.ServerOptions{Firewall: fake, Limits: limits})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			if a := ask(s.socket, red); a.Status != 200 {
				t.Errorf("%+v", a)
			}
		})
		<-began // an operator is not counted with the others
	}
	if a := ask(s.socket, red); a.code() != api.CodeTooMany || a.Header.Get("Retry-After") == "" {
		t.Errorf("a third: %+v", a)
	}
	close(wait)
	asking.Wait()

	wait = make(chan struct{})
	limits.ClientFirewall = 5
	s = start(t, backend.ServerOptions{Firewall: fake, Limits: limits, Policy: tenantOnly()})
	asking.Go(func() { ask(s.socket, red) })
	<-began
	if a := ask(s.socket, red); a.Status != 503 || a.code() != api.CodeBusy {
		t.Errorf("one more than all may have: %+v", a)
	}
	close(wait)
	asking.Wait()
	if a := ask(s.socket, red); a.Status != 200 {
		t.Errorf("afterwards: %+v", a)
	}
}
