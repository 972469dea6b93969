// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// decoder takes a chunk of records apart. After the first mistake it gives zeros, and
// err says what it was.
type decoder struct {
	b []byte
	// version is that of the format.
	version int
	err     error
	// event is the last one of this chunk.
	event event.Event
}

var errShort = errors.New("a record is truncated")

// more reports whether another record follows.
func (d *decoder) more() bool { return d.err == nil && len(d.b) > 0 }

func (d *decoder) failed() bool { return d.err != nil }

// take returns the next n bytes, or nil if there are not as many.
func (d *decoder) take(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.fail(errShort)
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// upTo returns an integer that must not be more than limit.
func (d *decoder) upTo(limit uint64) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail(fmt.Errorf("%d: at most %d is possible", v, limit))
		return 0
	}
	return v
}

func (d *decoder) uint32() uint32 { return uint32(d.upTo(math.MaxUint32)) }
func (d *decoder) uint16() uint16 { return uint16(d.upTo(math.MaxUint16)) }

func (d *decoder) string() string {
	return string(d.take(int(d.upTo(maxChunk))))
}

// nextNetNS decodes the fields of an opNetNS.
func (d *decoder) nextNetNS() *trace.NetNS {
	ns := &trace.NetNS{Inode: d.uint32(), Name: d.string()}
	bits := d.byte()
	ns.Hypervisor, ns.Shared = bits&netnsHypervisor != 0, bits&netnsShared != 0
	if bits&netnsContainer != 0 {
		ns.Container = &trace.Container{
			ID: d.string(), Name: d.string(), Runtime: d.string(),
			Pod: trace.Pod{Name: d.string(), Namespace: d.string(), UID: d.string()},
		}
	}
	if bits&netnsTenant != 0 {
		ns.Tenant = d.string()
	}
	return ns
}

// nextDevice decodes the fields of an opDevice after the namespace.
func (d *decoder) nextDevice(ns *trace.NetNS) *trace.Device {
	dev := &trace.Device{NetNS: ns, Index: d.uint32(), Name: d.string(), Bridge: d.string()}
	if d.version > 2 {
		dev.Type = d.string()
		dev.Lower = trace.Place{NetNS: d.uint32(), Index: d.uint32()}
	}
	if d.version > 3 {
		dev.Tenant, dev.Unattributed = d.string(), d.byte() != 0
	}
	return dev
}

// nextEvent decodes the fields of an opEvent.
func (d *decoder) nextEvent() *event.Event {
	ev := &d.event
	mask := d.mask()
	ev.Time += uint64(d.varint())
	if mask&changedHook != 0 {
		ev.Hook = event.Hook(d.byte())
	}
	if mask&changedIfIndex != 0 {
		ev.IfIndex = d.uint32()
	}
	if mask&changedNetNS != 0 {
		ev.NetNS += uint32(d.varint())
	}
	if mask&changedFlags != 0 {
		ev.Flags = event.Flags(d.uint16())
	}
	if mask&changedSKB != 0 {
		ev.SKB += uint64(d.varint())
	}
	if mask&changedPeer != 0 {
		ev.Peer = event.Place{NetNS: d.uint32(), IfIndex: d.uint32()}
	}
	if mask&changedCPU != 0 {
		ev.CPU = d.uint16()
	}
	if mask&changedCode != 0 {
		ev.Code = d.uint32()
	}
	d.nextPacket(mask, ev)
	return ev
}

func (d *decoder) nextPacket(mask uint64, ev *event.Event) {
	if mask&changedTTL != 0 {
		ev.TTL = d.byte()
	}
	if mask&changedType != 0 {
		ev.Type = event.Type(d.byte())
	}
	if mask&changedID != 0 {
		ev.ID = d.uint16()
	}
	if mask&changedSeq != 0 {
		ev.Seq = d.uint16()
	}
	if mask&changedPayloadLen != 0 {
		ev.PayloadLen = d.uint16()
	}
	if mask&changedPayload != 0 {
		copy(ev.Payload[:], d.take(len(ev.Payload)))
	}
	if mask&changedSrc != 0 {
		copy(ev.Src[:], d.take(len(ev.Src)))
	}
	if mask&changedDst != 0 {
		copy(ev.Dst[:], d.take(len(ev.Dst)))
	}
	d.nextAround(mask, ev)
}

func (d *decoder) nextAround(mask uint64, ev *event.Event) {
	if mask&changedDepth != 0 {
		ev.Depth = d.byte()
	}
	if mask&changedOuter != 0 {
		d.tunnel(&ev.Tunnels[0])
	}
	if mask&changedInner != 0 {
		d.tunnel(&ev.Tunnels[1])
	}
	if mask&changedAction != 0 {
		d.action(&ev.Action)
	}
	if mask&changedRewrite != 0 {
		d.rewrite(&ev.Rewrite)
	}
	if mask&changedThreshold != 0 {
		ev.Threshold = d.uint32()
	}
}

func (d *decoder) action(a *event.Action) {
	*a = event.Action{
		Deed: event.Deed(d.uint16()), Verdict: d.uint16(), Reason: d.uint16(),
		Tenant: d.uint32(), Rule: d.uint32(), To: d.uint32(),
	}
	if d.version > 4 {
		a.Place, a.Nanoseconds = event.ActionPlace(d.uint16()), d.uint32()
	}
}

func (d *decoder) rewrite(r *event.Rewrite) {
	for _, to := range [...][]byte{r.Src[:], r.Dst[:], r.To[:], r.From[:]} {
		copy(to, d.take(len(to)))
	}
	r.TTL, r.Flags = d.byte(), event.RewriteFlags(d.byte())
	r.ID, r.LeaseMilliseconds = d.uint16(), d.uint32()
	r.Peer = event.Place{NetNS: d.uint32(), IfIndex: d.uint32()}
}

func (d *decoder) tunnel(t *event.Tunnel) {
	copy(t.Src[:], d.take(len(t.Src)))
	copy(t.Dst[:], d.take(len(t.Dst)))
	t.ID = d.uint32()
	if d.version > 2 {
		t.Type = event.TunnelType(d.byte())
	}
}
