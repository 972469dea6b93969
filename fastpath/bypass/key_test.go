// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

func drawAddress(t *rapid.T, is4 bool, label string) netip.Addr {
	if is4 {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label)))
	}
	return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label)))
}

func drawKey(t *rapid.T, is4 bool) flow.Key {
	return flow.Key{
		IfIndex: int(rapid.Int32Min(1).Draw(t, "ifindex")), VNI: rapid.Uint32Range(0, 1<<24-1).Draw(t, "vni"),
		Tuple: flow.Tuple{
			Proto: rapid.Byte().Draw(t, "proto"), Src: drawAddress(t, is4, "src"), Dst: drawAddress(t, is4, "dst"),
			Sport: rapid.Uint16().Draw(t, "sport"), Dport: rapid.Uint16().Draw(t, "dport"),
		},
	}
}

// What a key is in a map is the same key again, and has the packet's bytes.
func TestKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four := rapid.Bool().Draw(t, "IPv4")
		k := drawKey(t, four)
		if err := checkKey(&k); err != nil {
			t.Fatal(err)
		}
		wide := key6(&k)
		if got := flowKey(four, &wide); got != k {
			t.Errorf("%+v became %+v", k, got)
		}
		raw, err := binary.Append(nil, binary.NativeEndian, wide)
		if err != nil {
			t.Fatal(err)
		}
		length := 16
		if four {
			length = 4
			narrow := key4(&k)
			if got := flowKey(true, narrow.wide()); got != k || *narrow.wide() != wide {
				t.Errorf("%+v became %+v", k, got)
			}
		}
		wire := func(at int, want []byte) {
			if got := raw[at : at+len(want)]; !bytes.Equal(got, want) {
				t.Errorf("%x at %d, want %x", got, at, want)
			}
		}
		wire(4, k.Src.AsSlice()[:length])
		wire(20, k.Dst.AsSlice()[:length])
		wire(36, binary.BigEndian.AppendUint16(nil, k.Sport))
		wire(38, binary.BigEndian.AppendUint16(nil, k.Dport))
	})
}

func TestInvalidKeys(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, k := range []flow.Key{
		{},
		{Tuple: flow.Tuple{Src: four}},
		{Tuple: flow.Tuple{Src: four, Dst: six}},
		{VNI: 1 << 24, Tuple: flow.Tuple{Src: four, Dst: four}},
	} {
		if err := checkKey(&k); err == nil {
			t.Errorf("%+v is taken for a key", k)
		}
	}
}

// Everything that an entry says is in the flow.
func TestFlowOfEntry(t *testing.T) {
	const now, hz = 5000, 250
	k := flow.Key{IfIndex: 3, Tuple: flow.Tuple{Proto: 6, Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.1"), Sport: 1, Dport: 2}}
	e := plainFlow{
		Id: 9, Lease: now + 500, Epoch: 0, Used: now - 250, Fast: 11, Bytes: 12, Slow: 13, Approval: 14,
		Denied: uint32(flow.Helper), Detail: 15, Ended: uint32(flow.Moved), Agreed: 16, Longest: 17, Last: uint32(flow.Lease), Slot: 18, Other: 19, Zone: 20,
	}
	r := &e.Rewrite
	r.Src, r.Dst, r.Sport, r.Dport = words(netip.MustParseAddr("203.0.113.1")), words(k.Dst), networkOrder(4), networkOrder(5)
	r.Out, r.NextHop, r.NextFamily, r.Tos = 6, words(netip.MustParseAddr("2001:db8::2")), 10, 7
	r.Flags = uint16(plainFlowFlagFLOW_ROUTED | plainFlowFlagFLOW_TRACKED | plainFlowFlagFLOW_REPLY | plainFlowFlagFLOW_ENCAPSULATED | plainFlowFlagFLOW_DECAPSULATED)
	r.MacsIn, r.MacsOut = [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, [12]byte{21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}
	r.MarkIn, r.Mark, r.OuterLen, r.Outer = 8, 9, 2, [72]byte{0, 0, 41, 42, 43}
	want := flow.Flow{
		Key: k, ID: 9, Slot: 18, Other: 19, Zone: 20, Tracked: true, Reply: true, Lease: 2 * time.Second, Idle: time.Second,
		Approval: 14, Denied: flow.Helper, Ended: flow.Moved, Last: flow.Lease, Detail: 15, Agreed: 16, Longest: 17, Fast: 11, Bytes: 12, Slow: 13,
		Rewrite: flow.Rewrite{
			After: flow.Tuple{Proto: 6, Src: netip.MustParseAddr("203.0.113.1"), Dst: k.Dst, Sport: 4, Dport: 5},
			Out:   6, Routed: true, NextHop: netip.MustParseAddr("2001:db8::2"), TOS: 7,
			FromDst: flow.MAC{1, 2, 3, 4, 5, 6}, FromSrc: flow.MAC{7, 8, 9, 10, 11, 12},
			Dst: flow.MAC{21, 22, 23, 24, 25, 26}, Src: flow.MAC{27, 28, 29, 30, 31, 32},
			MarkIn: 8, Mark: 9, Outer: []byte{41, 42}, Decapsulated: true,
		},
	}
	b := &Bypass{kernel: kernel{hz: hz}}
	compare := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, b.flowOf(&e, k, now), compare); diff != "" {
		t.Errorf("flow (-want +got):\n%s", diff)
	}
	e.Epoch, e.Lease, e.Used, r.NextFamily, r.Flags = 1, 0, now+10, 0, 0
	r.OuterLen = 0
	want.Changed, want.Lease, want.Idle, want.Tracked, want.Reply = true, -20*time.Second, 0, false, false
	want.Rewrite.NextHop, want.Rewrite.Routed, want.Rewrite.Outer, want.Rewrite.Decapsulated = netip.Addr{}, false, nil, false
	if diff := cmp.Diff(want, b.flowOf(&e, k, now), compare); diff != "" {
		t.Errorf("another flow (-want +got):\n%s", diff)
	}
}

// Times that no entry should have do not overflow.
func TestDurations(t *testing.T) {
	const most = math.MaxInt64
	for _, tt := range []struct {
		to, from  uint64
		want, off time.Duration
	}{
		{1001, 1000, 4 * time.Millisecond, 0},
		{1000, 1001, -4 * time.Millisecond, 0},
		{0, 1 << 63, -most, 3 * time.Second},
		{1<<63 - 1, 0, most, 3 * time.Second},
	} {
		if got := duration(tt.to, tt.from, 250); (got - tt.want).Abs() > tt.off {
			t.Errorf("from %d to %d: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
}
