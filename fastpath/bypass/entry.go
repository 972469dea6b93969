// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// flowOf returns what an entry says at that time, which is the kernel's in jiffies.
func (b *Bypass) flowOf(e *plainFlow, k flow.Key, now uint64) flow.Flow {
	hz := b.kernel.hz
	return flow.Flow{
		Key: k, ID: e.Id, Rewrite: e.rewrite(&k),
		Slot: e.Slot, Other: e.Other, Changed: e.Epoch != b.memory.epoch(e.Slot, e.Other),
		Tracked: e.has(plainFlowFlagFLOW_TRACKED), Reply: e.has(plainFlowFlagFLOW_REPLY),
		Lease: duration(e.Lease, now, hz), Idle: max(0, duration(now, e.Used, hz)),
		Approval: e.Approval, Denied: flow.Reason(e.Denied), Ended: flow.Reason(e.Ended), Last: flow.Reason(e.Last),
		Zone: uint16(e.Zone), Detail: e.Detail, Agreed: e.Agreed, Longest: e.Longest,
		Fast: e.Fast, Bytes: e.Bytes, Slow: e.Slow,
	}
}

func (e *plainFlow) has(flag plainFlowFlag) bool { return plainFlowFlag(e.Rewrite.Flags)&flag != 0 }

// outerAt is where the headers of a tunnel begin in an entry.
const outerAt = 2

func (e *plainFlow) rewrite(k *flow.Key) flow.Rewrite {
	r := &e.Rewrite
	w := flow.Rewrite{
		After: flow.Tuple{
			Proto: k.Proto, Src: address(is4(k), &r.Src), Dst: address(is4(k), &r.Dst),
			Sport: networkOrder(r.Sport), Dport: networkOrder(r.Dport),
		},
		Out: int(r.Out), VNI: r.Vni, Routed: e.has(plainFlowFlagFLOW_ROUTED),
		FromDst: flow.MAC(r.MacsIn[:6]), FromSrc: flow.MAC(r.MacsIn[6:]),
		Dst: flow.MAC(r.MacsOut[:6]), Src: flow.MAC(r.MacsOut[6:]),
		TOS: r.Tos, MarkIn: r.MarkIn, Mark: r.Mark, Decapsulated: e.has(plainFlowFlagFLOW_DECAPSULATED),
	}
	if r.NextFamily != 0 {
		w.NextHop = address(r.NextFamily == unix.AF_INET, &r.NextHop)
	}
	if r.OuterLen != 0 {
		// In the entry they are aligned: see struct outer of c/outer.h.
		w.Outer = slices.Clone(r.Outer[outerAt:min(outerAt+int(r.OuterLen), len(r.Outer))])
	}
	return w
}

// duration is how long it is from one time in jiffies to another, which may be before.
func duration(to, from uint64, hz uint32) time.Duration {
	jiffies := int64(to - from)
	whole, rest := jiffies/int64(hz), jiffies%int64(hz)
	const most = int64(1<<63-1) / int64(time.Second)
	whole = min(max(whole, -most+1), most-1)
	return time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(hz)
}
