// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/host"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// tables is what is needed of [netfilter.Tables].
type tables interface {
	Kind() netfilter.Kind
	Has(header.Family) bool
	Apply(context.Context, *netfilter.Layout) error
	Raise(context.Context, header.Family) error
	Remove(ctx context.Context, f header.Family, id string, number uint32) error
	Installed(context.Context, header.Family) (*netfilter.Installed, error)
	Test(context.Context, *netfilter.Layout) error
}

// faces are what the manager has of the host. Tests put others in their place.
type faces struct {
	tables tables
	host   func(*tenant.Set) (*scope.Host, error)
	rules  func(context.Context) (*premises.Foreign, error)
	// open makes or adopts the programs of the tenant with the number.
	open func(number uint32) (programs, error)
	// watchHost and watchRules are those of packages host and premises.
	watchHost, watchRules func(context.Context, func()) error
	// fault is called before each step of a change, with its name. Tests end the process there.
	fault func(step string) error
}

func newFaces(o *Options) (*faces, error) {
	kind := netfilter.Kind(o.IPTables)
	if kind == "auto" {
		kind = ""
	}
	t, err := netfilter.Find(context.Background(), netfilter.Options{NetNS: o.NetNS, Kind: kind})
	if err != nil {
		return nil, err
	}
	return &faces{
		tables:     t,
		host:       func(s *tenant.Set) (*scope.Host, error) { return host.Read(o.NetNS, s) },
		rules:      func(ctx context.Context) (*premises.Foreign, error) { return premises.Read(ctx, o.NetNS) },
		watchHost:  func(ctx context.Context, f func()) error { return host.Watch(ctx, o.NetNS, f) },
		watchRules: func(ctx context.Context, f func()) error { return premises.Watch(ctx, o.NetNS, f) },
		fault:      func(string) error { return nil },
	}, nil
}
