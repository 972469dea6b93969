// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// tenantOnly has the test's own user be red, and not an operator.
func tenantOnly() backend.Policy {
	p := policy()
	p.Tenants["red"], p.Operators = p.Operators, backend.Access{Certificates: []string{"nobody"}}
	return p
}

// A tenant changes its own rules, and cannot tell another's from one that does not exist. What
// is refused does not reach the firewall.
func TestFirewallIsOnesOwn(t *testing.T) {
	d, fake := describe(t), &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake, Policy: tenantOnly()})
	for _, r := range firewallRequests() {
		own := askRaw(s.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
		fake.took()
		blue := askRaw(s.socket, requestOf(r.method, strings.Replace(red, "red", "blue", 1)+r.path, r.contentType, r.body))
		none := askRaw(s.socket, requestOf(r.method, strings.Replace(red, "red", "green", 1)+r.path, r.contentType, r.body))
		if own.Status != 200 || blue.Status != 403 || blue.code() != api.CodeNotYours || blue.Body != none.Body || none.Status != 403 {
			t.Errorf("%s %s: own %+v, blue's %+v, nobody's %+v", r.method, r.path, own, blue, none)
		}
		d.checkAnswer(t, r.method, red+r.path, blue)
	}
	for _, path := range []string{"", "/check"} {
		a := askRaw(s.socket, requestOf(http.MethodPost, red+path, jsonType, `{"words":["iptables","-F"],"affect_others":true}`))
		if a.Status != 403 || a.code() != api.CodeNotYours || !strings.Contains(a.Body, "operator") {
			t.Errorf("affect_others of a tenant: %+v", a)
		}
		d.checkAnswer(t, http.MethodPost, red+path, a)
	}
	if calls := fake.took(); calls != nil {
		t.Errorf("the firewall was asked: %q", calls)
	}
}

// Who may only see a tenant sees its rules and what would become of a command; what would change
// them does not reach the firewall. Access beside it is not taken away by that.
func TestFirewallOfReader(t *testing.T) {
	d, fake := describe(t), &fakeFirewall{}
	p := tenantOnly()
	p.Readers = map[string]backend.Access{"red": p.Tenants["red"]}
	both := start(t, backend.ServerOptions{Firewall: fake, Policy: p})
	p.Tenants = map[string]backend.Access{}
	reader := start(t, backend.ServerOptions{Firewall: fake, Policy: p})
	for _, r := range firewallRequests() {
		if a := askRaw(both.socket, requestOf(r.method, red+r.path, r.contentType, r.body)); a.Status != 200 {
			t.Errorf("%s %s with both: %+v", r.method, r.path, a)
		}
		fake.took()
		a := askRaw(reader.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
		d.checkAnswer(t, r.method, red+r.path, a)
		calls := strings.Join(fake.took(), "; ")
		sees := r.method == http.MethodGet || strings.HasSuffix(r.path, "/check") || strings.HasSuffix(r.path, "/explain") ||
			strings.Contains(r.path, "dry_run=true") || strings.Contains(r.body, "dry_run")
		if sees && (a.Status != 200 || calls == "") {
			t.Errorf("%s %s: %+v", r.method, r.path, a)
		}
		if !sees && (a.Status != 403 || a.code() != api.CodeReadOnly || calls != "") {
			t.Errorf("%s %s: %+v, and the firewall was asked: %q", r.method, r.path, a, calls)
		}
		if blue := askRaw(reader.socket, requestOf(r.method, strings.Replace(red, "red", "blue", 1)+r.path, r.contentType, r.body)); blue.code() != api.CodeNotYours {
			t.Errorf("%s %s of blue's: %+v", r.method, r.path, blue)
		}
	}
}

// The same by users of the kernel: red's own, blue's, nobody's and root's.
func TestFirewallByUser(t *testing.T) {
	privilegetest.NetNS(t) // to be other users
	fake := &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake, Socket: public(t)})
	anyone(t, s)
	for _, test := range []struct {
		who    who
		status int
	}{{who{5001, 7000, nil}, 200}, {who{7000, 7000, []uint32{6001}}, 200}, {who{5002, 7000, nil}, 403}, {who{7000, 7000, nil}, 403}, {who{0, 0, nil}, 200}} {
		if a := test.who.ask(t, s.socket, red)[0]; a.Status != test.status {
			t.Errorf("%v: %d %s", test.who, a.Status, a.Body)
		}
	}
}

// An operator may do what affects others.
func TestFirewallOfOperator(t *testing.T) {
	fake := &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake})
	a := askRaw(s.socket, requestOf(http.MethodPost, red, jsonType, `{"words":["iptables","-t","nat","-F"],"affect_others":true}`))
	if calls := fake.took(); a.Status != 200 || len(calls) != 1 || !strings.HasSuffix(calls[0], "others=true") {
		t.Errorf("%+v, %q", a, calls)
	}
	if a := askRaw(s.socket, requestOf(http.MethodDelete, "/v1/tenants/green/firewall", "", "")); a.code() != api.CodeUnknownTenant || fake.took() != nil {
		t.Errorf("a tenant that there is not: %+v", a)
	}
}

// The firewall is told whether an operator asks, because a tenant must not learn whose others
// are.
func TestFirewallKnowsWhoAsks(t *testing.T) {
	for _, p := range []backend.Policy{policy(), tenantOnly()} {
		operator := len(p.Operators.UIDs) > 0
		fake := &fakeFirewall{}
		s := start(t, backend.ServerOptions{Firewall: fake, Policy: p})
		for _, r := range firewallRequests() {
			if !strings.HasPrefix(r.call, "do") && !strings.HasPrefix(r.call, "restore") {
				continue
			}
			fake.asked(!operator)
			askRaw(s.socket, requestOf(r.method, red+r.path, r.contentType, r.body))
			if fake.took(); fake.operator != operator {
				t.Errorf("%s %s: operator %t", r.method, r.path, fake.operator)
			}
		}
	}
}
