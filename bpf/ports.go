// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"math/bits"
)

// The UDP ports that carry tunnels unless Options say otherwise.
const (
	// VXLANPort is the port that IANA assigned (RFC 7348, section 8).
	VXLANPort = 4789
	// LegacyVXLANPort is what Linux uses where no port is configured.
	LegacyVXLANPort = 8472
	// VXLANGPEPort is what IANA assigned to VXLAN-GPE.
	VXLANGPEPort = 4790
	// GenevePort is what IANA assigned to Geneve (RFC 8926, section 6).
	GenevePort = 6081
	// GREPort is what IANA assigned to GRE in UDP (RFC 8086, section 9).
	GREPort = 4754
)

// PortKind says which tunnels a UDP port carries.
type PortKind uint8

// The kinds of port. The numbers are those of the BPF programs.
const (
	// PortVXLAN carries VXLAN and VXLAN-GPE.
	PortVXLAN PortKind = PortKind(kernelPortKindPORT_VXLAN)
	// PortGeneve carries Geneve.
	PortGeneve PortKind = PortKind(kernelPortKindPORT_GENEVE)
	// PortFOUIP carries IPv4 or IPv6 directly in UDP.
	PortFOUIP PortKind = PortKind(kernelPortKindPORT_FOU_IP)
	// PortFOUGRE carries GRE directly in UDP.
	PortFOUGRE PortKind = PortKind(kernelPortKindPORT_FOU_GRE)
	// PortGUE carries generic UDP encapsulation.
	PortGUE PortKind = PortKind(kernelPortKindPORT_GUE)
)

// allPorts is how many UDP port numbers there are.
const allPorts = 1 << 16

// tunnelPorts returns the kind of each port: those of the options, and more.
func (o Options) tunnelPorts(more map[uint16]PortKind) ([]PortKind, error) {
	kinds := make([]PortKind, allPorts)
	kinds[VXLANGPEPort], kinds[GenevePort], kinds[GREPort] = PortVXLAN, PortGeneve, PortFOUGRE
	vxlan := o.VXLANPorts
	if vxlan == nil {
		vxlan = []uint16{VXLANPort, LegacyVXLANPort}
	}
	for _, p := range vxlan {
		if p == 0 {
			return nil, errors.New("VXLAN port 0: must be between 1 and 65535")
		}
		kinds[p] = PortVXLAN
	}
	for p, kind := range more {
		kinds[p] = kind
	}
	kinds[0] = 0
	return kinds, nil
}

// inNetworkOrder returns the kinds as the programs look them up: by the port as it is read
// from a packet.
func inNetworkOrder(kinds []PortKind) []PortKind {
	swapped := make([]PortKind, len(kinds))
	for p, kind := range kinds {
		swapped[bits.ReverseBytes16(uint16(p))] = kind
	}
	return swapped
}

// SetTunnelPorts says which UDP ports carry tunnels besides those of the options. It
// replaces what was set before. It may be called at any time.
func (t *Tracer) SetTunnelPorts(ports map[uint16]PortKind) error {
	kinds, err := t.opts.tunnelPorts(ports)
	if err != nil {
		return fmt.Errorf("set tunnel ports: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if err := t.objs.TunnelPorts.Put(uint32(0), inNetworkOrder(kinds)); err != nil {
		return fmt.Errorf("set tunnel ports: %w", err)
	}
	return nil
}
