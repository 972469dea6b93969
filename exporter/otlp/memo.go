// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"net/netip"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/spantree"
)

// memo makes a string attribute once for each value and hands the same message out
// again: nearly all attributes of a span are those of many other spans, and three
// messages each is what transforming would otherwise spend its time on.
type memo[K comparable] struct {
	key  string
	text func(K) string
	made map[K]*commonpb.KeyValue
	// What was asked for last is mostly what is asked for next.
	last      K
	lastValue *commonpb.KeyValue
}

func newMemo[K comparable](key string, text func(K) string) memo[K] {
	return memo[K]{key: key, text: text, made: make(map[K]*commonpb.KeyValue)}
}

func (m *memo[K]) get(k K) *commonpb.KeyValue {
	if k == m.last && m.lastValue != nil {
		return m.lastValue
	}
	kv, ok := m.made[k]
	if !ok {
		kv = stringValue(m.key, m.text(k))
		m.made[k] = kv
	}
	m.last, m.lastValue = k, kv
	return kv
}

// memos holds the attributes whose values repeat.
type memos struct {
	kind                memo[trace.Kind]
	direction           memo[spantree.Direction]
	device, peer        memo[*trace.Device]
	bridge              memo[string]
	source, destination memo[netip.Addr]
	outerSource         memo[netip.Addr]
	outerDestination    memo[netip.Addr]
	networkType         memo[bool]
	transport           memo[bool]
}

func newMemos() memos {
	deviceName := func(d *trace.Device) string { return d.Name }
	return memos{
		kind:             newMemo(trace.AttrKind, trace.Kind.String),
		direction:        newMemo(trace.AttrDirection, spantree.Direction.String),
		device:           newMemo(trace.AttrNetworkInterface, deviceName),
		peer:             newMemo(trace.AttrPeerInterface, deviceName),
		bridge:           newMemo(trace.AttrBridge, func(s string) string { return s }),
		source:           newMemo(trace.AttrSourceAddress, netip.Addr.String),
		destination:      newMemo(trace.AttrDestinationAddr, netip.Addr.String),
		outerSource:      newMemo(trace.AttrTunnelSource, netip.Addr.String),
		outerDestination: newMemo(trace.AttrTunnelDestination, netip.Addr.String),
		networkType:      newMemo(trace.AttrNetworkType, func(v4 bool) string { return either(v4, "ipv4", "ipv6") }),
		transport:        newMemo(trace.AttrNetworkTransport, func(v4 bool) string { return either(v4, "icmp", "icmpv6") }),
	}
}

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
