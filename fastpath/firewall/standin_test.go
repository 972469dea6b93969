// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"net"
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// standIn reads the one bridge of a world.
func standIn(w *world, f *faces) {
	f.host = func(s *tenant.Set) (*scope.Host, error) {
		h := &scope.Host{Uplinks: []string{"eth0"}, Local: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
		err := w.hv.Do(func() error {
			br, err := net.InterfaceByName("br-red")
			if err != nil {
				return err
			}
			tap, err := net.InterfaceByName("tap-red")
			if err != nil {
				return err
			}
			if !s.Has("red") {
				return nil
			}
			h.Tenants = []scope.Tenant{{
				ID: "red", Number: s.Number("red"),
				Devices: []scope.Device{{Name: "br-red", Index: br.Index, MAC: [6]byte(br.HardwareAddr), Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
				Ports:   []scope.Port{{Name: "tap-red", Index: tap.Index, Device: br.Index}},
			}}
			return nil
		})
		return h, err
	}
	f.rules = func(context.Context) (*premises.Foreign, error) {
		return &premises.Foreign{FreeBit: 1 << 20, Forwarding4: true, Forwarding6: true}, nil
	}
	f.watchHost = func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }
	f.watchRules = func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }
}
