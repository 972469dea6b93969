// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestTunnelsOf(t *testing.T) {
	got := tunnelsOf([]netlink.Link{
		&netlink.Dummy{},
		&netlink.Vxlan{Port: 6784},
		&netlink.Vxlan{}, // one that has no port yet
		&netlink.Geneve{Dport: 6081},
		&netlink.Iptun{EncapDport: 1}, // which is not in UDP
		&netlink.Iptun{EncapType: encapFOU, EncapDport: 5555, EncapSport: 5556},
		&netlink.Gretap{EncapType: encapFOU, EncapDport: 5557},
		&netlink.Gretun{EncapType: encapGUE, EncapDport: 5558},
	})
	want := map[uint16]Tunnel{6784: VXLAN, 6081: Geneve, 5555: FOUIP, 5556: FOUIP, 5557: FOUGRE, 5558: GUE}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tunnels (-want +got):\n%s", diff)
	}
}
