// SPDX-License-Identifier: Apache-2.0

package acting

import (
	"errors"

	"github.com/cilium/ebpf"
)

// How a packet is sent to another device.
type How uint32

// The ways. The numbers are those of enum way in c/redirecting.bpf.c.
const (
	// ToDevice gives it to the device's queue (bpf_redirect).
	ToDevice How = iota
	// ToNeighbour does so after the kernel has put in the neighbour's address
	// (bpf_redirect_neigh).
	ToNeighbour
	// ToPeer gives it to the input of the device's other end (bpf_redirect_peer).
	ToPeer
)

// Way says where echoes are sent.
type Way struct {
	How How
	// To is the index of the device.
	To uint32
	// PeerNetNS and PeerIfIndex are its other end.
	PeerNetNS, PeerIfIndex uint32
	// MACs are the frame's destination and source, unless the kernel puts them in.
	MACs [12]byte
}

// LoadRedirecting puts a program into the kernel that sends each echo on, with its time to live one
// less, and says so. shared is as for [Load].
func LoadRedirecting(w Way, shared map[string]*ebpf.Map) (*Program, error) {
	spec, err := loadRedirecting()
	if err != nil {
		return nil, err
	}
	v := spec.Variables
	if err := errors.Join(
		v[redirectingVarHow].Set(uint32(w.How)), v[redirectingVarTo].Set(w.To), v[redirectingVarMacs].Set(w.MACs),
		v[redirectingVarPeerNetns].Set(w.PeerNetNS), v[redirectingVarPeerIfindex].Set(w.PeerIfIndex),
	); err != nil {
		return nil, err
	}
	return load(spec, redirectingProgRedirecting, shared)
}
