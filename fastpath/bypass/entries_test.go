// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"net/netip"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// udp returns the key of one of many flows, of IPv4 or IPv6.
func udp(is4 bool, number int) flow.Key {
	src, dst := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1")
	if is4 {
		src, dst = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	}
	return flow.Key{IfIndex: 1 + number>>16, Tuple: flow.Tuple{Proto: 17, Src: src, Dst: dst, Sport: uint16(number), Dport: 53}}
}

// put writes an entry as the programs would, and counts it.
func put(t testing.TB, b *Bypass, k flow.Key, e plainFlow) {
	t.Helper()
	var err error
	if is4(&k) {
		err = b.maps[plainMapFlows4].Put(key4(&k), e)
	} else {
		err = b.maps[plainMapFlows6].Put(key6(&k), e)
	}
	if err != nil {
		t.Fatal(err)
	}
	use(t, b, e.Slot, 1)
}

// use counts entries of a tenant.
func use(t testing.TB, b *Bypass, slot uint16, more int64) {
	t.Helper()
	var n int64
	if err := b.maps[plainMapUsage].Lookup(uint32(slot), &n); err != nil {
		t.Fatal(err)
	}
	if err := b.maps[plainMapUsage].Put(uint32(slot), n+more); err != nil {
		t.Fatal(err)
	}
}

// jiffies returns the kernel's present time.
func jiffies(t testing.TB, b *Bypass) uint64 {
	t.Helper()
	now, err := b.now()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// all returns the flows by key.
func all(t testing.TB, b *Bypass) map[flow.Key]flow.Flow {
	t.Helper()
	found := map[flow.Key]flow.Flow{}
	err := b.Flows(func(f *flow.Flow) bool {
		if _, twice := found[f.Key]; twice {
			t.Errorf("%+v was passed twice", f.Key)
		}
		found[f.Key] = *f
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// usage returns how many flows tenants have.
func usage(t testing.TB, b *Bypass) map[uint16]int {
	t.Helper()
	used, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return used
}
