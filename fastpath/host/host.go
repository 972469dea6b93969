// SPDX-License-Identifier: Apache-2.0

// Package host finds out which devices and ports of a host are which tenant's for the firewall.
package host

import (
	"context"
	"errors"

	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Read reads devices and addresses of the namespace, nil for the process's, and says whose they
// are. What is wrong with one tenant is its [scope.Tenant.Problem], not an error.
func Read(_ *netns.NS, _ *tenant.Set) (*scope.Host, error) {
	return nil, errors.ErrUnsupported
}

// Watch calls changed after devices or addresses of the namespace, nil for the process's, have
// changed, or may have because the kernel's messages were lost, until ctx is done. It does so
// from one goroutine, once at first when nothing that happens after it can be missed.
func Watch(_ context.Context, _ *netns.NS, _ func()) error {
	return errors.ErrUnsupported
}
