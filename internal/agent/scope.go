// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/internal/inventory"
)

// Scope says by reference what is traced. The zero value is everything, with the host's
// own namespace as the hypervisor.
//
// A reference to network namespaces is a name, a path such as /proc/PID/ns/net, a process
// number, "host", or a pattern of names like tenant-*; see [inventory.Inventory.Find]. It
// means the namespaces that exist at the time: references are resolved again when a
// namespace comes, goes or is renamed. An unmatched reference is not an error; it is
// listed in [Status]. If no reference in NetNS or in Interfaces matches, nothing is traced.
type Scope struct {
	// NetNS are the namespaces to trace in. Default: all.
	NetNS []string
	// Interfaces are the network devices to trace, in any namespace: names, alternative
	// names (altname of ip link) or patterns of either such as ens*. A device is matched by
	// the name that it has when a packet passes; one that only a pattern or an alternative
	// name means is traced within about a second. Default: all.
	Interfaces []string
	// Addresses choose pings: source or destination is in one of them. Default: all.
	Addresses []netip.Prefix
	// Hypervisors are the namespaces that are hypervisors. Default: the host's own.
	Hypervisors []string
	// Netfilter are the namespaces in which the netfilter chains are timed, or
	// [NoNetfilter] alone. Default: the hypervisors. It needs Linux 6.4 and CAP_NET_ADMIN.
	Netfilter []string
}

// NoNetfilter as the only element of Scope.Netfilter means no namespace.
const NoNetfilter = "none"

// Check returns an error for what can never match, such as an invalid pattern. A name
// that matches nothing is not an error.
func (s Scope) Check() error {
	var errs []error
	for _, refs := range [][]string{s.NetNS, s.Hypervisors, s.netfilter()} {
		for _, ref := range refs {
			errs = append(errs, inventory.CheckReference(ref))
		}
	}
	for _, name := range s.Interfaces {
		errs = append(errs, inventory.CheckInterface(name))
	}
	for _, p := range s.Addresses {
		if !p.IsValid() {
			errs = append(errs, fmt.Errorf("address prefix %v is not valid", p))
		}
	}
	return errors.Join(errs...)
}

// netfilter returns the references to the namespaces whose chains are to be timed.
func (s Scope) netfilter() []string {
	switch {
	case slices.Equal(s.Netfilter, []string{NoNetfilter}):
		return nil
	case len(s.Netfilter) > 0:
		return s.Netfilter
	case len(s.Hypervisors) > 0:
		return s.Hypervisors
	}
	return []string{inventory.HostName}
}

// clone returns a copy that shares nothing with s.
func (s Scope) clone() Scope {
	return Scope{
		slices.Clone(s.NetNS), slices.Clone(s.Interfaces), slices.Clone(s.Addresses),
		slices.Clone(s.Hypervisors), slices.Clone(s.Netfilter),
	}
}
