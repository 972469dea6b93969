// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Devices have both programs as long as they are listed, tunnels the one that learns.
func TestSetDevices(t *testing.T) {
	l := newLab(t, 3)
	b := l.open()
	d0, d1, d2 := l.port("d0", 1), l.nic("d1"), l.port("d2", 2)
	d2.Blocked, d2.Peer, d2.PeerNetNS, d2.PeerIndex = true, true, 4026531840, 7
	tunnel := d1 // which had both programs
	tunnel.Tunnel = true
	for _, list := range [][]Device{{d0, d1}, {d0, d1, d2}, {d0, d1, d2}, {d2}, {d1}, {tunnel}, {d1}, nil} {
		l.set(b, list...)
		var want []AttachedDevice
		for _, d := range list {
			want = append(want, AttachedDevice{Device: d, Ingress: !d.Tunnel, Egress: true})
		}
		got, err := b.Attached()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attached (-want +got):\n%s", diff)
		}
	}
}
