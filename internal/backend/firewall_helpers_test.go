// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/firewall"
)

// fakeFirewall notes what it is asked for, and answers with something of every kind.
type fakeFirewall struct {
	// err is the error of all methods, and wait what they do before they answer.
	err  error
	wait func(context.Context) error

	mu    sync.Mutex
	calls []string
	// operator is whether the last one to ask for a change was one.
	operator bool
}

func (f *fakeFirewall) note(ctx context.Context, format string, args ...any) error {
	f.mu.Lock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	f.mu.Unlock()
	if f.wait != nil {
		return f.wait(ctx)
	}
	return f.err
}

func (f *fakeFirewall) asked(operator bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.operator = operator
}

// took returns what was asked for since it was last called.
func (f *fakeFirewall) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.calls
	f.calls = nil
	return list
}

func (f *fakeFirewall) Do(ctx context.Context, r firewall.Request) (*firewall.Answer, error) {
	err := f.note(ctx, "do %s %q dry=%t others=%t", r.Tenant, r.Words, r.DryRun, r.AffectOthers)
	f.asked(r.Operator)
	if strings.Contains(strings.Join(r.Words, " "), "nat") && !r.AffectOthers {
		return &firewall.Answer{Place: firewall.Refused, Reason: "the table nat is not the tenant's", Witness: "icmp 192.0.2.1 > 192.0.2.2", Whose: "the host"}, err
	}
	return &firewall.Answer{Place: firewall.TC, Reason: "programs decide of " + r.Tenant, Command: "-A FORWARD -j DROP", DryRun: r.DryRun}, err
}

func (f *fakeFirewall) Restore(ctx context.Context, r firewall.Restore) (*firewall.Restored, error) {
	err := f.note(ctx, "restore %s %d %q dry=%t", r.Tenant, r.Family, r.Text, r.DryRun)
	f.asked(r.Operator)
	return &firewall.Restored{Done: true, CompileTime: 5, SwapTime: 6}, err
}

func (f *fakeFirewall) List(ctx context.Context, tenant string) (*firewall.Listing, error) {
	return listing(tenant), f.note(ctx, "list %s", tenant)
}

func (f *fakeFirewall) Save(ctx context.Context, tenant string, family int) (string, error) {
	return "*filter\n# of " + tenant + "\nCOMMIT\n", f.note(ctx, "save %s %d", tenant, family)
}

func (f *fakeFirewall) Explain(ctx context.Context, tenant, packet string) (*firewall.Explanation, error) {
	return &firewall.Explanation{
		Packet: packet, Verdict: "drop", Place: "tc", Reason: "a rule of " + tenant, Chain: "FORWARD", Decider: &rule, Path: nil,
	}, f.note(ctx, "explain %s %q", tenant, packet)
}

func (f *fakeFirewall) Flush(ctx context.Context, tenant string) error {
	return f.note(ctx, "flush %s", tenant)
}

var rule = firewall.RuleListing{Number: 1, ID: 7, UUID: "u", Text: "-p icmp -j DROP", Packets: 3, Bytes: 252, Place: firewall.TC, Reason: "exact"}

// listing has something, and nothing, of everything.
func listing(tenant string) *firewall.Listing {
	return &firewall.Listing{
		Tenant: tenant,
		Families: []firewall.FamilyListing{
			{Family: 4, Place: firewall.TC, Reason: "exact", Nodes: 5, Bytes: 320, Chains: []firewall.ChainListing{
				{Name: "FORWARD", Policy: "ACCEPT", Packets: 1, Bytes: 84, Rules: []firewall.RuleListing{rule}},
				{Name: "web", Policy: "-"},
			}},
			{Family: 6, Place: firewall.IPTables, Reason: "no rules"},
		},
		Ports: []firewall.PortListing{
			{Port: "tap-red", Attached: "tcx", Packets: 9, Passed: 5, Dropped: 2, Deferred: map[string]uint64{"fragment": 2}, Nanoseconds: 81.5},
			{Port: "tap-red-2"},
		},
		Problems: []string{"tap-red-2 has no program"},
	}
}

// requestOf writes a request with a body, unless that is "".
func requestOf(method, path, contentType, body string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: dwell\r\nConnection: close\r\n"
	if contentType != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}

// check is [described.check] of an answer.
func (d described) checkAnswer(t *testing.T, method, path string, a answer) {
	t.Helper()
	if a.Err != "" || !d.check(t, method, path, a.Status, a.Header, []byte(a.Body)) {
		t.Errorf("%s %s is not described, or not answered: %s", method, path, a.Err)
	}
}

const (
	jsonType = "application/json"
	textType = "text/plain; charset=utf-8"
	red      = "/v1/tenants/red/firewall"
	icmp     = `{"words":["iptables","-A","FORWARD","-p","icmp","-j","DROP"]}`
)

// firewallRequest is one that is answered.
type firewallRequest struct{ method, path, contentType, body, call string }

// firewallRequests are of all kinds, each with what the firewall of red is asked for then.
func firewallRequests() []firewallRequest {
	const words = `["iptables" "-A" "FORWARD" "-p" "icmp" "-j" "DROP"]`
	get, post := http.MethodGet, http.MethodPost
	return []firewallRequest{
		{get, "", "", "", "list red"},
		{post, "", jsonType, icmp, "do red " + words + " dry=false others=false"},
		{post, "", jsonType + ";charset=utf-8", `{"words":["iptables","-t","nat","-F"],"dry_run":true}`, `do red ["iptables" "-t" "nat" "-F"] dry=true others=false`},
		{http.MethodDelete, "", "", "", "list red,flush red"},
		{http.MethodDelete, "?dry_run=false", "", "", "list red,flush red"},
		{http.MethodDelete, "?dry_run=true", "", "", "list red"},
		{get, "/rules/6", "", "", "save red 6"},
		{http.MethodPut, "/rules/4", textType, "*filter\nCOMMIT\n", `restore red 4 "*filter\nCOMMIT\n" dry=false`},
		{http.MethodPut, "/rules/6?dry_run=true", "text/plain", "*filter\tü\r\n", `restore red 6 "*filter\tü\r\n" dry=true`},
		{post, "/check", jsonType, icmp, "do red " + words + " dry=true others=false"},
		{post, "/check", jsonType, `{"family":6,"text":"*filter\nCOMMIT\n"}`, `restore red 6 "*filter\nCOMMIT\n" dry=true`},
		{post, "/explain", jsonType, `{"packet":"icmp 192.168.0.10 > 203.0.113.8"}`, `explain red "icmp 192.168.0.10 > 203.0.113.8"`},
	}
}
