// SPDX-License-Identifier: Apache-2.0

// Package bystanders reads which devices lie between the tenants' ports and the NICs of the
// hypervisor, and what of others there would be passed over if packets went from one to the other
// directly: programs, filters, queues that shape, hooks.
//
// When it is unsure, it blocks: then flows take the kernel's way, which is always right.
package bystanders

import (
	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Options say what to read.
type Options struct {
	// NetNS is the hypervisor's namespace; nil is the process's.
	NetNS *netns.NS
	// Host is whose the devices are.
	Host *scope.Host
	// NICs are the names of the devices by which packets leave the host. If there are none, they
	// are found by the default routes.
	NICs []string
	// Ours are programs at TC that are dwell's own, see [Pinned].
	Ours map[ebpf.ProgramID]string
}

// Device is a port of a tenant, or a NIC.
type Device struct {
	Index int
	Name  string
	// Port is set for a port. Otherwise it is a NIC.
	Port bool
	// Tenant is the ID of a port's.
	Tenant string
	// Master is the index of the bridge of which it is a port, or 0.
	Master int
	// Blocked says, in a sentence without a full stop, why no flow may enter or leave by it directly,
	// or is "".
	Blocked string
	// Peer is set if what goes to the port may be given to the input of the other end at once. If
	// not, NoPeer says why.
	Peer   bool
	NoPeer string
	// PeerNetNS is the inode of the namespace of the other end of a veth, PeerIndex its index there,
	// or 0.
	PeerNetNS uint32
	PeerIndex int
}

// Tunnel is a VXLAN device.
type Tunnel struct {
	Index int
	Name  string
	// Port is the UDP port of its packets.
	Port uint16
}

// Facts are what was found at one moment. They are not modified.
type Facts struct {
	// Devices are the ports of all tenants and the NICs, in order of their indices.
	Devices []Device
	// Tunnels are the host's VXLAN devices, in order of their indices. Those of another UDP port than the
	// first one's are left out: flows through them are not understood.
	Tunnels []Tunnel
	// Blocked says why no flow of anybody may be fast, such as that a bridge that several tenants
	// use has a queue that shapes. "" if some may.
	Blocked string
	// Tenants says why no flow of a tenant may be fast, by ID, where that is because of a device
	// between its ports and the NIC.
	Tenants map[string]string
	// Near has all devices of the namespace, and says whether one is connected with a port, a NIC, a tunnel, or
	// what is between them. What happens to others concerns no flow.
	Near map[int]bool
}

// Why returns why no flow of the tenant may be fast, or "".
func (f *Facts) Why(tenant string) string {
	if f.Blocked != "" {
		return f.Blocked
	}
	return f.Tenants[tenant]
}
