// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
)

var _ backend.Firewall = client.Firewall{}

// A client asks for the same, and gets the same, as whoever has the firewall itself.
func TestClientOfFirewall(t *testing.T) {
	fake := &fakeFirewall{}
	s := start(t, backend.ServerOptions{Firewall: fake})
	remote, ctx := s.client(t).Firewall(), t.Context()
	both := func(what string, f func(backend.Firewall) (any, error)) {
		t.Helper()
		want, err := f(fake)
		asked := fake.took()
		got, gotErr := f(remote)
		if err != nil || gotErr != nil {
			t.Errorf("%s: %v, %v", what, err, gotErr)
		}
		if diff := cmp.Diff(asked, fake.took()); diff != "" && what != "flush" {
			t.Errorf("%s: what the firewall is asked for (-directly +through the API):\n%s", what, diff)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty() /* JSON here has no null */); diff != "" {
			t.Errorf("%s: (-directly +through the API):\n%s", what, diff)
		}
	}
	words := []string{"iptables", "-A", "FORWARD", "-m", "comment", "--comment", `a "b"`, "-j", "DROP"}
	for _, dry := range []bool{false, true} {
		both("do", func(f backend.Firewall) (any, error) {
			return f.Do(ctx, firewall.Request{Tenant: "red", Words: words, DryRun: dry, AffectOthers: !dry})
		})
		both("do what is refused", func(f backend.Firewall) (any, error) {
			return f.Do(ctx, firewall.Request{Tenant: "red", Words: []string{"iptables", "-t", "nat", "-F"}, DryRun: dry})
		})
		both("restore", func(f backend.Firewall) (any, error) {
			return f.Restore(ctx, firewall.Restore{Tenant: "red", Family: 6, Text: strings.Repeat("-A FORWARD -j DROP\n", 10_000), DryRun: dry})
		})
	}
	both("list", func(f backend.Firewall) (any, error) { return f.List(ctx, "red") })
	both("save", func(f backend.Firewall) (any, error) { return f.Save(ctx, "red", 4) })
	both("explain", func(f backend.Firewall) (any, error) { return f.Explain(ctx, "red", "icmp 192.0.2.1 > 192.0.2.2") })
	both("flush", func(f backend.Firewall) (any, error) { return nil, f.Flush(ctx, "red") })
}

// A client tells what the agent refuses, and asks for no tenant that cannot be.
func TestClientOfFirewallRefused(t *testing.T) {
	fake := &fakeFirewall{err: &firewall.CommandError{Err: errors.New("no such target")}}
	s := start(t, backend.ServerOptions{Firewall: fake})
	f, ctx := s.client(t).Firewall(), t.Context()
	if _, err := f.Do(ctx, firewall.Request{Tenant: "red", Words: []string{"iptables"}}); client.Code(err) != api.CodeSyntax || !strings.Contains(err.Error(), "no such target") {
		t.Errorf("%v", err)
	}
	if err := f.Flush(ctx, "green"); client.Code(err) != api.CodeUnknownTenant {
		t.Errorf("%v", err)
	}
	fake.took()
	for _, err := range []error{
		second(f.Do(ctx, firewall.Request{Tenant: "red/../blue"})), second(f.List(ctx, "..")), second(f.Explain(ctx, "", "")), second(f.Save(ctx, "red?", 4)),
		second(f.Save(ctx, "red", 5)), second(f.Restore(ctx, firewall.Restore{Tenant: "red"})), f.Flush(ctx, "."),
	} {
		if err == nil || client.Code(err) != "" {
			t.Errorf("%v", err)
		}
	}
	if calls := fake.took(); calls != nil {
		t.Errorf("the firewall was asked: %q", calls)
	}
}

func second[T any](_ T, err error) error { return err }
