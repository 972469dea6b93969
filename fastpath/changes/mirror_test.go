// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// attr encodes an attribute.
func attr(kind uint16, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}

func u32(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

// fdb encodes an entry of the table of a bridge.
func fdb(kind uint16, bridge, port int, mac byte, state uint16) message {
	b := append([]byte{unix.AF_BRIDGE, 0, 0, 0}, u32(port)...)
	b = append(binary.NativeEndian.AppendUint16(b, state), 0, 0)
	b = append(b, attr(unix.NDA_LLADDR, 2, 0, 0, 0, 0, mac)...)
	return message{kind, append(b, attr(unix.NDA_MASTER, u32(bridge)...)...)}
}

func newTestWatcher() *watcher {
	w := &watcher{news: newNews(), links: links{}, others: others{}, report: func(Change) {}}
	w.forget()
	return w
}

// Whenever a MAC of a bridge is behind another port than the last one behind which it was, both are
// reported; if it is deleted, its port is; and a message that says what was known is not reported.
func TestMirrorTellsEachMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTestWatcher()
		last, there := map[byte]int{}, map[byte]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			mac, port := rapid.ByteRange(0, 4).Draw(t, "MAC"), rapid.IntRange(2, 4).Draw(t, "port")
			was, known := last[mac]
			deleted := rapid.Bool().Draw(t, "deleted")
			if deleted {
				w.route(fdb(unix.RTM_DELNEIGH, 1, port, mac, unix.NUD_REACHABLE))
			} else {
				w.route(fdb(unix.RTM_NEWNEIGH, 1, port, mac, unix.NUD_REACHABLE))
			}
			c, reported := w.news.take()
			switch {
			case deleted && there[mac]:
				if !reported || !slices.Contains(c.Devices, was) {
					t.Fatalf("deleted behind %d: %+v", was, c)
				}
				there[mac] = false
			case deleted:
			case known && was != port:
				if !reported || !slices.Contains(c.Devices, was) || !slices.Contains(c.Devices, port) {
					t.Fatalf("moved from %d to %d: %+v", was, port, c)
				}
				last[mac], there[mac] = port, true
			default:
				if reported {
					t.Fatalf("nothing has changed: %+v", c)
				}
				last[mac], there[mac] = port, true
			}
		}
	})
}

// No message makes the watch fail, and one that is cut off is reported.
func FuzzMessages(f *testing.F) {
	m := fdb(unix.RTM_NEWNEIGH, 1, 2, 3, unix.NUD_REACHABLE)
	f.Add(m.kind, m.body)
	f.Add(uint16(unix.RTM_NEWVLAN), []byte{7, 0, 0, 0, 5, 0, 0, 0})
	f.Add(uint16(unix.RTM_NEWLINK), append(append([]byte{0, 0, 0, 0}, u32(5)...), make([]byte, 8)...))
	f.Add(uint16(unix.RTM_NEWADDR), append([]byte{unix.AF_INET, 24, 0, 0}, u32(5)...))
	f.Add(uint16(unix.RTM_NEWNETCONF), append([]byte{unix.AF_INET, 0, 0, 0}, attr(netconfIndex, u32(5)...)...))
	f.Add(uint16(999), []byte{})
	f.Fuzz(func(_ *testing.T, kind uint16, body []byte) {
		w := newTestWatcher()
		w.route(message{kind, body})
		for m := range messages(body, w.misread) {
			w.route(m)
		}
	})
}

// Not each kernel can be made to send these.
func TestMessages(t *testing.T) {
	for name, c := range map[string]struct {
		m    message
		want Change
	}{
		"VLAN":     {message{unix.RTM_NEWVLAN, append([]byte{7, 0, 0, 0}, u32(5)...)}, Change{Some | Devices, []int{5}, "VLANs of device 5 have changed"}},
		"tunnel":   {message{rtmNewTunnel, append([]byte{7, 0, 0, 0}, u32(5)...)}, Change{Some | Devices, []int{5}, "networks of the tunnel device 5 have changed"}},
		"block":    {message{unix.RTM_NEWTFILTER, append([]byte{0, 0, 0, 0}, u32(tcmIfindexMagicBlock)...)}, Change{All | Devices, nil, "queues or filters of several devices have changed"}},
		"actions":  {message{unix.RTM_NEWACTION, nil}, Change{All | Devices, nil, "actions of filters have changed"}},
		"number":   {message{unix.RTM_NEWNSID, nil}, Change{Devices, nil, "another namespace has got or lost its number"}},
		"cut off":  {message{unix.RTM_NEWTFILTER, []byte{0}}, Change{Everything, nil, "a message of the kernel could not be read"}},
		"not ours": {message{9999, nil}, Change{Everything, nil, "the kernel announced something that is not known (9999)"}},
	} {
		w := newTestWatcher()
		w.route(c.m)
		got, _ := w.news.take()
		if got.Kind != c.want.Kind || got.What != c.want.What || !slices.Equal(got.Devices, c.want.Devices) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A bridge with more MACs than are remembered costs no more memory, and each message about one more is
// reported of that bridge.
func TestMirrorIsBounded(t *testing.T) {
	w := newTestWatcher()
	for n := range maxPlaces + 10 {
		m := fdb(unix.RTM_NEWNEIGH, 1, 2, 0, unix.NUD_REACHABLE)
		binary.BigEndian.PutUint32(m.body[ndmSize+6:], uint32(n)) // within the MAC
		w.route(m)
		if c, reported := w.news.take(); reported != (n >= maxPlaces) || reported && !slices.Equal(c.Devices, []int{1, 2}) {
			t.Fatalf("MAC %d: %+v", n, c)
		}
	}
	w.route(fdb(unix.RTM_NEWNEIGH, 7, 8, 0, unix.NUD_REACHABLE))
	if c, reported := w.news.take(); reported || len(w.forwarding.places) != maxPlaces+1 {
		t.Errorf("another bridge: %+v; %d are remembered", c, len(w.forwarding.places))
	}
	w.links.deleted(w, append(append([]byte{0, 0, 0, 0}, u32(1)...), make([]byte, 8)...))
	if len(w.forwarding.places) != 1 || len(w.forwarding.count) != 1 {
		t.Errorf("%d are remembered", len(w.forwarding.places))
	}
}

// Entries that are deleted and made again, as in a flood, are not remembered for ever.
func TestGoneIsBounded(t *testing.T) {
	w := newTestWatcher()
	for n := range 10 * maxGone {
		for _, kind := range []uint16{unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH} {
			m := fdb(kind, 1, 2, 0, unix.NUD_REACHABLE)
			binary.BigEndian.PutUint32(m.body[ndmSize+6:], uint32(n))
			w.route(m)
		}
	}
	if got := len(w.forwarding.places); got != maxGone || w.forwarding.count[1] != maxGone {
		t.Errorf("%d are remembered", got)
	}
}

// BenchmarkFlood is how long a message about a made-up MAC takes.
func BenchmarkFlood(b *testing.B) {
	w := newTestWatcher()
	m := fdb(unix.RTM_NEWNEIGH, 1, 2, 0, unix.NUD_REACHABLE)
	for n := 0; b.Loop(); n++ {
		binary.BigEndian.PutUint32(m.body[ndmSize+6:], uint32(n))
		w.route(m)
		if n%batch == 0 {
			w.flush()
		}
	}
}

// What was lost is reported, at once and again when everything has been listed anew; and after that
// nothing more is lost.
func TestLost(t *testing.T) {
	ns := testSpace(t)
	var got []Change
	w := newTestWatcher()
	w.ns, w.report = ns, func(c Change) { got = append(got, c) }
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.list(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, bufferSize)
	s := w.sources[0]
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
		t.Fatal(err)
	}
	addLinks(t, ns, "a", 20)
	if err := w.drain(s, buf); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Kind != Everything || got[1].Kind != Everything {
		t.Fatalf("reported: %+v", got)
	}
	if len(w.links) < 21 {
		t.Errorf("%d devices are known", len(w.links))
	}
	got = nil
	addLinks(t, ns, "b", 1)
	if err := w.drain(s, buf); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Kind&Devices == 0 {
		t.Errorf("reported: %+v", got)
	}
}
