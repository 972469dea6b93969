// SPDX-License-Identifier: Apache-2.0

package inventory

import "testing"

// What is certain is remembered until Forget, and nothing else is.
func TestViewRemembers(t *testing.T) {
	v, c := newInventory(t, Config{})
	n := v.View()
	ns := create(t, "remembered")
	inode, index := ns.Inode(), addBridge(t, ns, "first")
	eventually(t, "no look is asked for", func() bool {
		c.advance(v.cfg.MinInterval)
		n.Forget()
		n.Device(inode, index)
		return !n.asked && v.Settled()
	})
	device, space := n.Device(inode, index), n.NetNS(inode)
	if device.Name != "first" || space.Name != ns.Name() {
		t.Fatalf("%+v in %+v", device, space)
	}
	c.advance(v.cfg.MaxAge)
	looks := v.Stats().Looks
	if n.Device(inode, index) != device || n.NetNS(inode) != space || !v.Settled() || v.Stats().Looks != looks {
		t.Error("what was certain was looked for again")
	}
	before := v.Stats().Unknown
	for i := range uint64(3) {
		if d := n.Device(inode, index+1000); d.Name == "" || v.Stats().Unknown != before+i+1 {
			t.Errorf("%+v, %d answers were numbers, want %d", d, v.Stats().Unknown-before, i+1)
		}
	}
	n.Forget()
	rename(t, ns, "first", "second")
	eventually(t, "the device has its new name", func() bool {
		c.advance(v.cfg.MaxAge)
		n.Forget()
		return n.Device(inode, index).Name == "second"
	})
	// What is old and the best that there is so far is not remembered.
	n.Forget()
	rename(t, ns, "second", "third")
	c.advance(v.cfg.MaxAge)
	eventually(t, "the device has its third name", func() bool {
		c.advance(v.cfg.MinInterval)
		return n.Device(inode, index).Name == "third"
	})
}

// A ping has some dozens of places, of which its trace tells one after the other.
func BenchmarkViewDevice(b *testing.B) {
	v, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	n := v.View()
	b.ReportAllocs()
	for b.Loop() {
		if n.Device(v.self, 1).Name != "lo" {
			b.Fatal("not lo")
		}
	}
}
