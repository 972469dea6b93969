// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Whoever looks at a record as often as a CPU can sees its time only when all of it is written.
func TestRecordsAreWhole(t *testing.T) {
	all, in := flooders(t)
	r := recordWith(t, loadSharing(t, Options{}, 1, 16<<20), in...)
	var inodes []uint32
	for _, n := range in {
		inodes = append(inodes, n.inode)
	}
	if err := r.tracer.SetFilter(Filter{NetNS: inodes}); err != nil {
		t.Fatal(err)
	}
	r.drain()
	l := &r.tracer.reader.rings.all[0]
	from, seen := l.count, uint64(0)
	look := func() {
		for l.limit = l.observe(); l.read != l.limit && !t.Failed(); seen++ {
			for l.time() == 0 {
			}
			checkWhole(t, l)
		}
		l.giveBack()
	}
	flood(t, all[:1], 2000, look)
	if look(); seen != l.count-from || seen < 12*2000 {
		t.Errorf("saw %d records of %d", seen, l.count-from)
	}
}

// checkWhole checks that the next record of an IPv4 echo has all that it must have, and passes it.
func checkWhole(t *testing.T, l *ring) {
	t.Helper()
	raw := l.record()
	switch {
	case raw == nil:
		t.Error("a record has a time and no size")
		return
	case isEnd(raw):
		if begin := part[kernelRecordEnd](raw, new(int)).Begin; l.ended(begin) == nil {
			t.Errorf("the end of a driver call that began at %d", begin)
		}
	case !valid(raw, event.All()):
		t.Errorf("a record is %v", raw)
	default:
		at := headSize
		if a := part[kernelAddresses4](raw, &at); a.Src[0] != 192 || a.Dst[0] != 192 {
			t.Errorf("a record has the addresses %v and %v", a.Src, a.Dst)
		}
		if p := head(raw).Parts; p&uint8(kernelRecordPartPART_PEER) != 0 && part[kernelPeer](raw, &at).Netns == 0 {
			t.Error("a record has no peer")
		}
		if head(raw).Hook == uint8(event.NetDevStartXmit) {
			l.opened(raw)
		}
	}
	l.pass(raw)
}
