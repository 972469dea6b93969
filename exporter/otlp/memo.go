// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// memoLimit bounds how many values a memo keeps; beyond it begins anew.
const memoLimit = 4096

// memo encodes a value once and hands the same bytes out again: nearly all that a
// span says is what many other spans say too.
type memo[K comparable, V any] struct {
	encode func(K) V
	made   map[K]*entry[K, V]
	last   *entry[K, V]
}

// entry is a value and its encoding. What was asked for after it the last time is mostly what is
// asked for after it the next time, because pings that take one way have the same spans.
type entry[K comparable, V any] struct {
	key   K
	value V
	next  *entry[K, V]
}

func newMemo[K comparable, V any](encode func(K) V) memo[K, V] {
	return memo[K, V]{encode: encode, made: make(map[K]*entry[K, V])}
}

// get returns the value of k, which is not to be changed.
func (m *memo[K, V]) get(k *K) *V {
	last := m.last
	switch {
	case last == nil:
		m.last = m.find(k)
	case last.key == *k:
	case last.next != nil && last.next.key == *k:
		m.last = last.next
	default:
		m.last = m.find(k)
		last.next = m.last
	}
	return &m.last.value
}

// find returns the entry of a value, a new one if there is none.
func (m *memo[K, V]) find(k *K) *entry[K, V] {
	if e := m.made[*k]; e != nil {
		return e
	}
	if len(m.made) >= memoLimit {
		clear(m.made)
	}
	e := &entry[K, V]{key: *k, value: m.encode(*k)}
	m.made[*k] = e
	return e
}

// place is what a span is about: the same for each ping that takes the same way.
type place struct {
	netns        *trace.NetNS
	device, peer *trace.Device
	kind         trace.Kind
	direction    trace.Direction
	inner        bool
}

func placeOf(s *trace.Span) place {
	return place{netns: s.NetNS, device: s.Device, peer: s.Peer, kind: s.Kind, direction: s.Direction, inner: s.Inner}
}

func encodePlace(p place) placeFields {
	s := trace.Span{Kind: p.kind, Inner: p.inner, NetNS: p.netns, Device: p.device, Peer: p.peer}
	a := attributes{field: spanAttributes}
	a.string(trace.AttrKind, p.kind.String())
	a.some(trace.AttrDirection, p.direction.String())
	if p.device != nil {
		a.string(trace.AttrNetworkInterface, p.device.Name)
	}
	if p.peer != nil {
		a.string(trace.AttrPeerInterface, p.peer.Name)
	}
	a.some(trace.AttrBridge, s.Bridge())
	if p.kind != trace.KindPing { // the root has that of the ping
		a.some(trace.AttrTenantID, s.Tenant())
	}
	return newPlaceFields(s.Name(), a.b)
}

// addresses are what is to be said of a packet that is in no tunnel.
type addresses struct{ src, dst netip.Addr }

// packet returns the encoded attributes of a packet, which is mostly that of the span before.
func (e *Encoder) packet(p *trace.Packet) *[]byte {
	if p != e.lastPacket || e.lastEncoded == nil {
		e.lastPacket, e.lastEncoded = p, e.lookUp(p)
	}
	return e.lastEncoded
}

func (e *Encoder) lookUp(p *trace.Packet) *[]byte {
	if p.Encapsulated() {
		return e.tunnelled.get(p)
	}
	src, dst := p.Addresses()
	return e.plain.get(&addresses{src, dst})
}

// encodeAddresses returns no attributes if the addresses are not known.
func encodeAddresses(p addresses) []byte {
	if !p.src.IsValid() {
		return nil
	}
	a := attributes{field: spanAttributes}
	a.string(trace.AttrSourceAddress, p.src.String())
	a.string(trace.AttrDestinationAddr, p.dst.String())
	a.string(trace.AttrNetworkType, either(p.src.Is4(), "ipv4", "ipv6"))
	a.string(trace.AttrNetworkTransport, either(p.src.Is4(), "icmp", "icmpv6"))
	return a.b
}

// encodePacket returns the attributes of a packet in a tunnel, none if its addresses are not known.
func encodePacket(p trace.Packet) []byte {
	if !p.Src.IsValid() {
		return nil
	}
	a := attributes{b: encodeAddresses(addresses{p.Src, p.Dst}), field: spanAttributes}
	a.tunnel(p)
	return a.b
}

func (a *attributes) tunnel(p trace.Packet) {
	a.string(trace.AttrTunnelType, p.Tunnel)
	a.int(trace.AttrTunnelID, int64(p.TunnelID))
	if p.OuterSrc.IsValid() {
		a.string(trace.AttrTunnelSource, p.OuterSrc.String())
		a.string(trace.AttrTunnelDestination, p.OuterDst.String())
	}
	if p.Depth > 1 {
		a.int(trace.AttrTunnelDepth, int64(p.Depth))
	}
}

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
