// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/event/eventtest"
)

func TestConstantsOfKernelSide(t *testing.T) {
	hooks := map[kernelHook]event.Hook{
		kernelHookHOOK_NET_DEV_QUEUE:           event.NetDevQueue,
		kernelHookHOOK_NET_DEV_START_XMIT:      event.NetDevStartXmit,
		kernelHookHOOK_NET_DEV_XMIT:            event.NetDevXmit,
		kernelHookHOOK_NETIF_RX:                event.NetifRx,
		kernelHookHOOK_NAPI_GRO_RECEIVE_ENTRY:  event.NAPIGROReceiveEntry,
		kernelHookHOOK_NETIF_RECEIVE_SKB:       event.NetifReceiveSKB,
		kernelHookHOOK_KFREE_SKB:               event.KfreeSKB,
		kernelHookHOOK_SKB_COPY_DATAGRAM_IOVEC: event.SKBCopyDatagramIovec,
		kernelHookHOOK_NETFILTER_FIRST:         event.NetfilterFirst,
		kernelHookHOOK_NETFILTER_LAST:          event.NetfilterLast,
		kernelHookHOOK_ACTED:                   event.Acted,
	}
	for kernel, want := range hooks {
		if event.Hook(kernel) != want {
			t.Errorf("%s is %d in the kernel and %d here", want, kernel, want)
		}
	}
	if all := len(event.All().List()); len(hooks) != all {
		t.Errorf("%d hooks of %d were compared with the kernel's", len(hooks), all)
	}
	for kernel, want := range map[kernelNfInetHooks]event.NetfilterHook{
		kernelNfInetHooksNF_INET_PRE_ROUTING:  event.NetfilterPreRouting,
		kernelNfInetHooksNF_INET_LOCAL_IN:     event.NetfilterLocalIn,
		kernelNfInetHooksNF_INET_FORWARD:      event.NetfilterForward,
		kernelNfInetHooksNF_INET_LOCAL_OUT:    event.NetfilterLocalOut,
		kernelNfInetHooksNF_INET_POST_ROUTING: event.NetfilterPostRouting,
	} {
		if event.NetfilterHook(kernel) != want {
			t.Errorf("%s is %d in the kernel and %d here", want, kernel, want)
		}
	}
	flags := map[kernelRecordFlag]event.Flags{
		kernelRecordFlagFLAG_IPV6:           event.IPv6,
		kernelRecordFlagFLAG_PAIRED:         event.Paired,
		kernelRecordFlagFLAG_BRIDGE_PORT:    event.BridgePort,
		kernelRecordFlagFLAG_BRIDGE:         event.Bridge,
		kernelRecordFlagFLAG_RECEIVED:       event.Received,
		kernelRecordFlagFLAG_PACKET_SOCKET:  event.PacketSocket,
		kernelRecordFlagFLAG_LOOPBACK:       event.Loopback,
		kernelRecordFlagFLAG_FIRST_FRAGMENT: event.FirstFragment,
		kernelRecordFlagFLAG_LATER_FRAGMENT: event.LaterFragment,
		kernelRecordFlagFLAG_OTHER_HOST:     event.OtherHost,
		kernelRecordFlagFLAG_ENCRYPTED:      event.Encrypted,
	}
	var all event.Flags
	for kernel, want := range flags {
		if event.Flags(kernel) != want {
			t.Errorf("a flag is %b in the kernel and %b here", kernel, want)
		}
		all |= want
	}
	if all != allFlags {
		t.Errorf("flags %b were compared, %b are decoded", all, allFlags)
	}
}

// TestNumbersOfKernelSide: tunnels, deeds and types have the same numbers on both sides.
func TestNumbersOfKernelSide(t *testing.T) {
	tunnels := []kernelTunnelType{
		kernelTunnelTypeTUNNEL_VXLAN, kernelTunnelTypeTUNNEL_VXLAN_GPE, kernelTunnelTypeTUNNEL_GENEVE,
		kernelTunnelTypeTUNNEL_GRE, kernelTunnelTypeTUNNEL_GRETAP, kernelTunnelTypeTUNNEL_ERSPAN,
		kernelTunnelTypeTUNNEL_IPIP, kernelTunnelTypeTUNNEL_SIT, kernelTunnelTypeTUNNEL_IP6,
		kernelTunnelTypeTUNNEL_SRV6, kernelTunnelTypeTUNNEL_MPLS, kernelTunnelTypeTUNNEL_PPPOE,
		kernelTunnelTypeTUNNEL_FOU, kernelTunnelTypeTUNNEL_WIREGUARD, kernelTunnelTypeTUNNEL_ESP,
		kernelTunnelTypeTUNNEL_ICMP_ERROR,
	}
	var got []event.TunnelType
	for _, kernel := range tunnels {
		got = append(got, event.TunnelType(kernel))
	}
	want := []event.TunnelType{
		event.VXLAN, event.VXLANGPE, event.Geneve, event.GRE, event.GRETAP, event.ERSPAN, event.IPIP, event.SIT,
		event.IP6Tunnel, event.SRv6, event.MPLS, event.PPPoE, event.FOU, event.WireGuard, event.ESP, event.ICMPError,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tunnels (-event +kernel):\n%s", diff)
	}
	if diff := cmp.Diff(event.TunnelTypes(), want); diff != "" || want[len(want)-1] != event.TunnelType(lastTunnel) {
		t.Errorf("not all tunnels were compared:\n%s", diff)
	}
	for kernel, want := range map[kernelDeed]event.Deed{
		kernelDeedDEED_FIREWALL: event.Firewall,
		kernelDeedDEED_REDIRECT: event.Redirect,
		kernelDeedDEED_FALLBACK: event.Fallback,
		kernelDeedDEED_LEARN:    event.Learn,
	} {
		if event.Deed(kernel) != want {
			t.Errorf("a deed is %d in the kernel and %d here", kernel, want)
		}
	}
	if event.Deed(kernelDeedDEED_LEARN + 1).Known() {
		t.Error("the kernel side lacks a deed")
	}
	for kernel, want := range map[kernelActionPlace]event.ActionPlace{
		kernelActionPlacePLACE_TC:       event.AtTC,
		kernelActionPlacePLACE_FORWARD:  event.AtForward,
		kernelActionPlacePLACE_IPTABLES: event.AtIPTables,
	} {
		if event.ActionPlace(kernel) != want {
			t.Errorf("a place is %d in the kernel and %d here", kernel, want)
		}
	}
	for kernel, want := range map[kernelLearnt]event.Learnt{
		kernelLearntLEARNT_MADE:    event.LearntMade,
		kernelLearntLEARNT_RENEWED: event.LearntRenewed,
		kernelLearntLEARNT_AGREED:  event.LearntAgreed,
	} {
		if event.Learnt(kernel) != want {
			t.Errorf("%s is %d in the kernel and %d here", want, kernel, want)
		}
	}
	for kernel, want := range map[kernelLearnVerdict]uint16{
		kernelLearnVerdictLEARN_DONE:    event.LearnDone,
		kernelLearnVerdictLEARN_NOTHING: event.LearnNothing,
	} {
		if uint16(kernel) != want {
			t.Errorf("a verdict of learning is %d in the kernel and %d here", kernel, want)
		}
	}
	var rewrites event.RewriteFlags
	for kernel, want := range map[kernelRewrittenFlag]event.RewriteFlags{
		kernelRewrittenFlagREWRITTEN_NEXT_HOP:     event.RewriteNextHop,
		kernelRewrittenFlagREWRITTEN_ENCAPSULATED: event.RewriteEncapsulated,
		kernelRewrittenFlagREWRITTEN_DECAPSULATED: event.RewriteDecapsulated,
	} {
		if event.RewriteFlags(kernel) != want {
			t.Errorf("a flag of rewriting is %b in the kernel and %b here", kernel, want)
		}
		rewrites |= want
	}
	if rewrites != allRewrites {
		t.Errorf("flags of rewriting %b were compared, %b are decoded", rewrites, allRewrites)
	}
	for kernel, want := range map[kernelEchoType]event.Type{
		kernelEchoTypeECHO_REQUEST:       event.EchoRequest,
		kernelEchoTypeECHO_REPLY:         event.EchoReply,
		kernelEchoTypeECHO_REQUEST_ERROR: event.RequestError,
		kernelEchoTypeECHO_REPLY_ERROR:   event.ReplyError,
	} {
		if event.Type(kernel) != want {
			t.Errorf("a type is %d in the kernel and %d here", kernel, want)
		}
	}
}

// bytesOf returns the record as the ring holds it.
func bytesOf[R any](r R) []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r))
	return append([]byte(nil), b...)
}

// join returns a record of a head and parts.
func join(h kernelRecordHead, parts ...[]byte) []byte {
	raw := bytesOf(h)
	for _, p := range parts {
		raw = append(raw, p...)
	}
	head(raw).Words = uint8(len(raw) / 8)
	return raw
}

// Each part, and the widest record.
func TestDecode(t *testing.T) {
	head := kernelRecordHead{
		Time: 1 << 60, Skb: 2 << 60, Netns: 3, Ifindex: 4, Code: 5, Id: 6, Seq: 7, PayloadLen: 8, Cpu: 9, Ttl: 63, Threshold: 29,
		Hook: uint8(event.KfreeSKB), Type: uint8(event.ReplyError), Payload: [16]byte{10, 11}, Depth: 3,
		Flags: uint16(event.IPv6 | event.Paired | event.Encrypted),
		Parts: uint8(kernelRecordPartPART_ADDRESSES6 | partTunnels | kernelRecordPartPART_PEER),
	}
	addr := bytesOf(kernelAddresses6{Src: [16]byte{0x20, 15: 1}, Dst: [16]byte{0x20, 15: 2}})
	outer := bytesOf(kernelTunnel{Src: [16]byte{0x20, 15: 3}, Dst: [16]byte{0x20, 15: 4}, Id: 0xffffff, Type: uint8(event.VXLAN)})
	inner := bytesOf(kernelTunnel{Src: [16]byte{0x20, 15: 5}, Dst: [16]byte{0x20, 15: 6}, Id: 1 << 31, Type: uint8(event.ICMPError)})
	peer := bytesOf(kernelPeer{Netns: 12, Ifindex: 13})
	action := bytesOf(kernelAction{Deed: uint16(event.Redirect), Verdict: 14, Reason: 15, Tenant: 16, Rule: 17, To: 18, Place: 19, Ns: 20})
	want := event.Event{
		Time: 1 << 60, SKB: 2 << 60, NetNS: 3, IfIndex: 4, Code: 5, ID: 6, Seq: 7, PayloadLen: 8, CPU: 9, TTL: 63, Threshold: 29,
		Hook: event.KfreeSKB, Type: event.ReplyError, Payload: [16]byte{10, 11}, Depth: 3,
		Flags: event.IPv6 | event.Paired | event.Encrypted, Peer: event.Place{NetNS: 12, IfIndex: 13},
		Src: event.Address{0x20, 15: 1}, Dst: event.Address{0x20, 15: 2},
		Tunnels: [event.MaxTunnels]event.Tunnel{
			{Src: event.Address{0x20, 15: 3}, Dst: event.Address{0x20, 15: 4}, ID: 0xffffff, Type: event.VXLAN},
			{Src: event.Address{0x20, 15: 5}, Dst: event.Address{0x20, 15: 6}, ID: 1 << 31, Type: event.ICMPError},
		},
	}
	checkDecode(t, want, join(head, addr, outer, inner, peer))

	head.Hook, head.Parts = uint8(event.Acted), head.Parts|uint8(kernelRecordPartPART_ACTION)
	want.Hook, want.Action = event.Acted, event.Action{
		Deed: event.Redirect, Verdict: 14, Reason: 15, Tenant: 16, Rule: 17, To: 18, Place: 19, Nanoseconds: 20,
	}
	checkDecode(t, want, join(head, addr, outer, inner, peer, action))

	head.Parts |= uint8(kernelRecordPartPART_REWRITE)
	rewritten := bytesOf(kernelRewritten{
		Src: [16]byte{0x20, 15: 7}, Dst: [16]byte{0x20, 15: 8}, Macs: [12]byte{0: 21, 5: 22, 6: 23, 11: 24}, Ttl: 62,
		Id: 25, Lease: 26, Flags: uint16(event.RewriteNextHop | event.RewriteDecapsulated), Netns: 27, Ifindex: 28,
	})
	want.Rewrite = event.Rewrite{
		Src: event.Address{0x20, 15: 7}, Dst: event.Address{0x20, 15: 8}, To: [6]byte{0: 21, 5: 22}, From: [6]byte{0: 23, 5: 24},
		TTL: 62, ID: 25, LeaseMilliseconds: 26, Flags: event.RewriteNextHop | event.RewriteDecapsulated,
		Peer: event.Place{NetNS: 27, IfIndex: 28},
	}
	widest := join(head, addr, outer, inner, peer, action, rewritten)
	if len(widest) != widestRecord {
		t.Errorf("the widest record has %d bytes, not %d", len(widest), widestRecord)
	}
	checkDecode(t, want, widest)

	head.Depth, head.Flags = 1, uint16(event.OtherHost)
	head.Parts = uint8(kernelRecordPartPART_ADDRESSES4 | kernelRecordPartPART_TUNNEL | kernelRecordPartPART_ACTION)
	want.Depth, want.Flags, want.Tunnels[1], want.Peer = 1, event.OtherHost, event.Tunnel{}, event.Place{}
	want.Rewrite = event.Rewrite{}
	want.Src = event.Address{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: 1}
	want.Dst = event.Address{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: 2}
	checkDecode(t, want, join(head, bytesOf(kernelAddresses4{Src: [4]byte{192, 0, 2, 1}, Dst: [4]byte{192, 0, 2, 2}}), outer, action))
}

// checkDecode decodes raw over an event that is full of something else, and raw cut short.
func checkDecode(t *testing.T, want event.Event, raw []byte) {
	t.Helper()
	got := event.Event{
		Peer: event.Place{NetNS: 1, IfIndex: 1}, Action: event.Action{Deed: 9}, Depth: 9,
		Rewrite: event.Rewrite{TTL: 9},
		Tunnels: [event.MaxTunnels]event.Tunnel{{ID: 1}, {ID: 2}},
	}
	if !decoded(raw, &got) {
		t.Fatal("not decoded")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	for n := range raw {
		if decoded(raw[:n], &got) {
			t.Errorf("decoded from %d bytes of %d", n, len(raw))
		}
	}
}

// A record whose head and parts do not agree, or that says something unknown, is refused.
func TestDecodeRefuses(t *testing.T) {
	ok := kernelRecordHead{
		Hook: uint8(event.NetifRx), Type: uint8(event.EchoRequest), Parts: uint8(kernelRecordPartPART_ADDRESSES4),
	}
	var zero [256]byte
	tunnel := bytesOf(kernelTunnel{Type: uint8(event.GRE)})
	for name, change := range map[string]func(h *kernelRecordHead) (after []byte){
		"no hook":            func(h *kernelRecordHead) []byte { h.Hook = 0; return nil },
		"no type":            func(h *kernelRecordHead) []byte { h.Type = 0; return nil },
		"unknown type":       func(h *kernelRecordHead) []byte { h.Type = 5; return nil },
		"unknown flag":       func(h *kernelRecordHead) []byte { h.Flags = uint16(allFlags + 1); return nil },
		"unknown part":       func(h *kernelRecordHead) []byte { h.Parts |= 1 << 7; return nil },
		"IPv6 with IPv4":     func(h *kernelRecordHead) []byte { h.Flags = uint16(event.IPv6); return nil },
		"both addresses":     func(h *kernelRecordHead) []byte { h.Parts |= 2; return zero[:32] },
		"no addresses":       func(h *kernelRecordHead) []byte { h.Parts = uint8(kernelRecordPartPART_PEER); return nil },
		"depth without part": func(h *kernelRecordHead) []byte { h.Depth = 1; return nil },
		"part without depth": func(h *kernelRecordHead) []byte { h.Parts |= 4; return tunnel },
		"one part for two":   func(h *kernelRecordHead) []byte { h.Parts |= 4; h.Depth = 2; return tunnel },
		"second part alone":  func(h *kernelRecordHead) []byte { h.Parts |= 8; h.Depth = 1; return tunnel },
		"tunnel of no type":  func(h *kernelRecordHead) []byte { h.Parts |= 4; h.Depth = 1; return zero[:40] },
		"unknown tunnel": func(h *kernelRecordHead) []byte {
			h.Parts |= 4
			h.Depth = 1
			return bytesOf(kernelTunnel{Type: lastTunnel + 1})
		},
		"pair without peer":      func(h *kernelRecordHead) []byte { h.Flags = uint16(event.Paired); return nil },
		"peer without pair":      func(h *kernelRecordHead) []byte { h.Parts |= 16; return zero[:8] },
		"action of a tracepoint": func(h *kernelRecordHead) []byte { h.Parts |= 32; return bytesOf(kernelAction{Deed: 1}) },
		"acted without action":   func(h *kernelRecordHead) []byte { h.Hook = uint8(event.Acted); return nil },
		"no deed": func(h *kernelRecordHead) []byte {
			h.Hook = uint8(event.Acted)
			h.Parts |= 32
			return zero[:24]
		},
		"rewritten by a firewall": func(h *kernelRecordHead) []byte {
			h.Hook, h.Parts = uint8(event.Acted), h.Parts|32|64
			return append(bytesOf(kernelAction{Deed: uint16(event.Firewall)}), zero[:64]...)
		},
		"rewritten without an action": func(h *kernelRecordHead) []byte { h.Parts |= 64; return zero[:64] },
		"rewritten in an unknown way": func(h *kernelRecordHead) []byte {
			h.Hook, h.Parts = uint8(event.Acted), h.Parts|32|64
			return append(bytesOf(kernelAction{Deed: uint16(event.Redirect)}), bytesOf(kernelRewritten{Flags: 1 << 8})...)
		},
		"one byte more": func(*kernelRecordHead) []byte { return zero[:1] },
		"one word more": func(*kernelRecordHead) []byte { return zero[:8] },
	} {
		h := ok
		after := change(&h)
		var e event.Event
		if decoded(join(h, zero[:8], after), &e) {
			t.Errorf("%s: decoded as %+v", name, e)
		}
	}
	var e event.Event
	if !decoded(join(ok, zero[:8]), &e) {
		t.Error("the record that the others are made from is refused")
	}
}

// decoded decodes a record as the reader does, unless it is not valid.
func decoded(raw []byte, e *event.Event) bool {
	return valid(raw, event.All()) && decode(raw, e) == len(raw)
}

// A record is of a hook in the table.
func TestDecodeKnowsTheHooksOfItsTable(t *testing.T) {
	added := event.All().With(eventtest.MadeUp())
	for hook, want := range map[event.Hook]struct{ all, added bool }{
		0:                       {false, false},
		event.NetDevQueue:       {true, true},
		event.NetfilterLast:     {true, true},
		eventtest.MadeUp().Hook: {false, true},
		255:                     {false, false},
	} {
		raw := join(kernelRecordHead{
			Hook: uint8(hook), Type: uint8(event.EchoReply), Parts: uint8(kernelRecordPartPART_ADDRESSES4),
		}, make([]byte, 8))
		if got := valid(raw, event.All()); got != want.all {
			t.Errorf("hook %d: valid %t", hook, got)
		}
		if got := valid(raw, added); got != want.added {
			t.Errorf("hook %d with one hook more: valid %t", hook, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var zero [8]byte
	tunnel := bytesOf(kernelTunnel{Type: uint8(event.Geneve)})
	head := kernelRecordHead{Hook: uint8(event.NetifRx), Type: uint8(event.EchoRequest), Parts: 1}
	f.Add(join(head, zero[:]))
	head.Parts, head.Depth = 1|4, 1
	f.Add(join(head, zero[:], tunnel))
	head.Parts, head.Depth, head.Flags = 1|4|8|16, 2, uint16(event.Paired)
	f.Add(join(head, zero[:], tunnel, tunnel, zero[:]))
	head.Hook, head.Parts, head.Depth, head.Flags = uint8(event.Acted), 2|32, 0, uint16(event.IPv6)
	f.Add(join(head, bytesOf(kernelAddresses6{}), bytesOf(kernelAction{Deed: uint16(event.Firewall)})))
	head.Parts |= 64
	f.Add(join(head, bytesOf(kernelAddresses6{}), bytesOf(kernelAction{Deed: uint16(event.Redirect)}), bytesOf(kernelRewritten{Ttl: 64})))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		// At the start of an allocation, as the reader's buffer is.
		raw = append(make([]byte, 0, len(raw)+8), raw...)
		var e event.Event
		if !decoded(raw, &e) {
			if e != (event.Event{}) {
				t.Errorf("refused, but wrote %+v", e)
			}
			return
		}
		if e.Hook.String() == "unknown" || e.Type.String() == "unknown" {
			t.Errorf("%d bytes decoded as %+v", len(raw), e)
		}
		for i, tunnel := range e.Tunnels {
			if (tunnel.Type == event.NoTunnel) != (i >= int(e.Depth)) || tunnel.Type.String() == "unknown" {
				t.Errorf("tunnel %d of %d is %v", i, e.Depth, tunnel)
			}
		}
		if !e.Flags.Has(event.Paired) && e.Peer != (event.Place{}) {
			t.Errorf("peer without a pair: %+v", e)
		}
		if e.Hook.Acts() != e.Action.Deed.Known() {
			t.Errorf("%s did %d", e.Hook, e.Action.Deed)
		}
		if e.Action.Deed != event.Redirect && e.Rewrite != (event.Rewrite{}) {
			t.Errorf("%s rewrote the packet: %+v", e.Action.Deed, e.Rewrite)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := join(kernelRecordHead{
		Hook: uint8(event.NetifRx), Type: uint8(event.EchoRequest), Parts: uint8(kernelRecordPartPART_ADDRESSES4),
	}, make([]byte, 8))
	var e event.Event
	b.ReportAllocs()
	for b.Loop() {
		if !decoded(raw, &e) {
			b.Fatal("not decoded")
		}
	}
}
