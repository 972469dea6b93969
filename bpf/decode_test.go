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
	for kernel, want := range map[kernelRecordFlag]event.Flags{
		kernelRecordFlagFLAG_IPV6:         event.IPv6,
		kernelRecordFlagFLAG_ENCAPSULATED: encapsulated,
		kernelRecordFlagFLAG_BRIDGE_PORT:  event.BridgePort,
		kernelRecordFlagFLAG_BRIDGE:       event.Bridge,
		kernelRecordFlagFLAG_RECEIVED:     event.Received,
		kernelRecordFlagFLAG_OUTER_IPV6:   outerIPv6,
		kernelRecordFlagFLAG_LOOPBACK:     event.Loopback,
	} {
		if event.Flags(kernel) != want {
			t.Errorf("a flag is %b in the kernel and %b here", kernel, want)
		}
	}
	if event.Type(kernelEchoTypeECHO_REQUEST) != event.EchoRequest || event.Type(kernelEchoTypeECHO_REPLY) != event.EchoReply {
		t.Error("the kernel's echo types are not event's")
	}
}

// bytesOf returns the record as the ring holds it.
func bytesOf[R any](r R) []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r)), unsafe.Sizeof(r))
	return append([]byte(nil), b...)
}

func TestDecode(t *testing.T) {
	head := kernelRecordHead{
		Time: 1 << 60, Skb: 2 << 60, Netns: 3, Ifindex: 4, Code: 5, Id: 6, Seq: 7, PayloadLen: 8, Cpu: 9,
		Hook: uint8(event.KfreeSKB), Type: uint8(event.EchoReply), Payload: [16]byte{10, 11},
		Flags: uint8(event.IPv6 | encapsulated | outerIPv6 | event.Bridge),
	}
	raw := bytesOf(kernelRecord6Tunnel{
		Head:  head,
		Addr:  kernelAddresses6{Src: [16]byte{0x20, 15: 1}, Dst: [16]byte{0x20, 15: 2}},
		Outer: kernelTunnel{Src: [16]byte{0x20, 15: 3}, Dst: [16]byte{0x20, 15: 4}, Vni: 0xffffff},
	})
	want := event.Event{
		Time: 1 << 60, SKB: 2 << 60, NetNS: 3, IfIndex: 4, Code: 5, ID: 6, Seq: 7, PayloadLen: 8, CPU: 9,
		Hook: event.KfreeSKB, Type: event.EchoReply, Payload: [16]byte{10, 11},
		Flags: event.IPv6 | event.Bridge, Depth: 1,
		Src: event.Address{0x20, 15: 1}, Dst: event.Address{0x20, 15: 2},
		Tunnels: [event.MaxTunnels]event.Tunnel{
			{Src: event.Address{0x20, 15: 3}, Dst: event.Address{0x20, 15: 4}, ID: 0xffffff, Type: event.VXLAN},
		},
	}
	var got event.Event
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
		raw := bytesOf(kernelRecord4{Head: kernelRecordHead{Hook: uint8(hook), Type: uint8(event.EchoReply)}})
		if got := valid(raw, event.All()); got != want.all {
			t.Errorf("hook %d: valid %t", hook, got)
		}
		if got := valid(raw, added); got != want.added {
			t.Errorf("hook %d with one hook more: valid %t", hook, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	head := kernelRecordHead{Hook: uint8(event.NetifRx), Type: uint8(event.EchoRequest)}
	f.Add(bytesOf(kernelRecord4{Head: head}))
	head.Flags = uint8(event.IPv6)
	f.Add(bytesOf(kernelRecord6{Head: head}))
	head.Flags = uint8(encapsulated)
	f.Add(bytesOf(kernelRecord4Tunnel{Head: head}))
	head.Flags = uint8(event.IPv6 | encapsulated)
	f.Add(bytesOf(kernelRecord6Tunnel{Head: head}))
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
		if len(raw) != recordSize(event.Flags((*kernelRecordHead)(unsafe.Pointer(&raw[0])).Flags)) || e.Hook.String() == "unknown" || e.Type.String() == "unknown" {
			t.Errorf("%d bytes decoded as %+v", len(raw), e)
		}
		if !e.Encapsulated() && e.Tunnels != [event.MaxTunnels]event.Tunnel{} {
			t.Errorf("tunnel without encapsulation: %+v", e)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := bytesOf(kernelRecord4{Head: kernelRecordHead{Hook: uint8(event.NetifRx), Type: uint8(event.EchoRequest)}})
	var e event.Event
	b.ReportAllocs()
	for b.Loop() {
		if !decoded(raw, &e) {
			b.Fatal("not decoded")
		}
	}
}
