// SPDX-License-Identifier: Apache-2.0

package tracetest

import "github.com/dwelltrace/dwell/correlate/trace"

// Owned makes the ping t one of a tenant and returns it: the guest's namespace becomes the
// tenant's, and so do the bridge and its port in the hypervisor, which is shared. The uplink
// and what is beyond it stay nobody's. The namespaces and devices of other traces are left
// as they are.
func Owned(t *trace.Trace, tenant string) *trace.Trace {
	namespaces, devices := map[*trace.NetNS]*trace.NetNS{}, map[*trace.Device]*trace.Device{}
	namespace := func(ns *trace.NetNS) *trace.NetNS {
		if ns == nil || namespaces[ns] != nil {
			return namespaces[ns]
		}
		own := *ns
		own.Shared = ns.Hypervisor
		if ns.Name == Guest.Name {
			own.Tenant = tenant
		}
		namespaces[ns] = &own
		return &own
	}
	device := func(d *trace.Device) *trace.Device {
		if d == nil || devices[d] != nil {
			return devices[d]
		}
		own := *d
		own.NetNS = namespace(d.NetNS)
		if own.NetNS.Tenant != "" || d.Bridge != "" || d.Name == bridge.Name {
			own.Tenant = tenant
		}
		devices[d] = &own
		return &own
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		s.NetNS, s.Device, s.Peer = namespace(s.NetNS), device(s.Device), device(s.Peer)
	}
	return t
}
