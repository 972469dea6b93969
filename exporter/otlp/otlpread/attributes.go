// SPDX-License-Identifier: Apache-2.0

package otlpread

import (
	"fmt"
	"net/netip"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// attributes reads attributes and keeps the first error.
type attributes struct {
	m   pcommon.Map
	err error
}

// text returns a string, or "" if there is none.
func (a *attributes) text(key string) string {
	v, ok := a.m.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func (a *attributes) has(key string) bool {
	_, ok := a.m.Get(key)
	return ok
}

// integer returns a number from 0 to limit, or 0 if there is none.
func (a *attributes) integer(key string, limit int64) int64 {
	v, ok := a.m.Get(key)
	if !ok {
		return 0
	}
	if v.Type() != pcommon.ValueTypeInt || v.Int() < 0 || v.Int() > limit {
		a.fail("%s is %.40q: not a whole number from 0 to %d", key, v.AsString(), limit)
		return 0
	}
	return v.Int()
}

// unknownAddr is what an address that is not known is written as beside one that is.
const unknownAddr = "invalid IP"

// address returns an address, the zero one if there is none.
func (a *attributes) address(key string) netip.Addr {
	s := a.text(key)
	if s == "" || s == unknownAddr {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		a.fail("%s is %.60q: not an address", key, s)
	}
	return addr
}

func (a *attributes) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// packet reads what the headers said, and returns nil if that is nothing.
func (a *attributes) packet() *trace.Packet {
	p := trace.Packet{
		Src: a.address(trace.AttrSourceAddress), Dst: a.address(trace.AttrDestinationAddr),
		OuterSrc: a.address(trace.AttrTunnelSource), OuterDst: a.address(trace.AttrTunnelDestination),
		Tunnel:   a.text(trace.AttrTunnelType),
		TunnelID: uint32(a.integer(trace.AttrTunnelID, 1<<32-1)),
		Depth:    uint8(a.integer(trace.AttrTunnelDepth, 1<<8-1)),
	}
	if p.Depth == 0 && p.Encapsulated() {
		p.Depth = 1 // it is not written
	}
	if p == (trace.Packet{}) {
		return nil
	}
	return &p
}

// netns reads a namespace from the attributes of a resource.
func (a *attributes) netns() *trace.NetNS {
	ns := &trace.NetNS{
		Inode:      uint32(a.integer(trace.AttrNetNS, 1<<32-1)),
		Name:       a.text(trace.AttrNetNSName),
		Hypervisor: a.text(trace.AttrNetNSRole) == "hypervisor",
	}
	if !a.has(trace.AttrNetNSName) {
		ns.Name = a.text(trace.AttrServiceName)
	}
	c := trace.Container{
		ID: a.text(trace.AttrContainerID), Name: a.text(trace.AttrContainerName), Runtime: a.text(trace.AttrContainerRuntime),
		Pod: trace.Pod{Name: a.text(trace.AttrPodName), Namespace: a.text(trace.AttrPodNamespace), UID: a.text(trace.AttrPodUID)},
	}
	if c != (trace.Container{}) {
		ns.Container = &c
	}
	return ns
}

// root reads what the root says of the trace as a whole.
func (a *attributes) root(t *trace.Trace) {
	t.Ping.ID = uint16(a.integer(trace.AttrICMPID, 1<<16-1))
	t.Ping.Seq = uint16(a.integer(trace.AttrICMPSeq, 1<<16-1))
	t.Ping.PayloadLen = -1
	if a.has(trace.AttrPayloadLen) {
		t.Ping.PayloadLen = int(a.integer(trace.AttrPayloadLen, 1<<31-1))
	}
	outcome := a.text(trace.AttrOutcome)
	for _, o := range trace.Outcomes() {
		if o.String() == outcome {
			t.Outcome = o
		}
	}
	t.Cause = trace.Cause(a.text(trace.AttrIncomplete))
	t.Local = a.text(trace.AttrIdentity) == "local"
	t.Duplicates = int(a.integer(trace.AttrDuplicates, 1<<31-1))
}

// eventAttrs reads the attributes of a span event, in their order.
func eventAttrs(m pcommon.Map) []trace.Attr {
	if m.Len() == 0 {
		return nil
	}
	attrs := make([]trace.Attr, 0, m.Len())
	for key, v := range m.All() {
		if v.Type() == pcommon.ValueTypeInt {
			attrs = append(attrs, trace.Int(key, v.Int()))
		} else {
			attrs = append(attrs, trace.String(key, v.AsString()))
		}
	}
	return attrs
}
