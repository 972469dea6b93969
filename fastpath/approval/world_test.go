// SPDX-License-Identifier: Apache-2.0

package approval_test

import (
	"crypto/rand"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func space(t testing.TB) *netns.NS {
	t.Helper()
	name := "dwell-ap-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	return ns
}

// run runs commands of a shell in the namespace.
func run(t testing.TB, ns *netns.NS, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out.String())
	}
}

// The devices of the host of these tests, and numbers of its tenants.
const (
	nic, bridge, port, bluePort = 2, 5, 6, 8
	redSlot, blueSlot           = 1, 2
	redNumber, blueNumber       = 77, 78
)

func hostOf() *scope.Host {
	return &scope.Host{
		Tenants: []scope.Tenant{
			{ID: "blue", Number: blueNumber, Devices: []scope.Device{{Name: "br-blue", Index: 7}}, Ports: []scope.Port{{Name: "tap-blue-0", Index: bluePort, Device: 7}}},
			{ID: "red", Number: redNumber, Devices: []scope.Device{{Name: "br-red", Index: bridge}}, Ports: []scope.Port{{Name: "tap-red-0", Index: port, Device: bridge}}},
		},
		Uplinks: []string{"ens3"},
	}
}

func read(t testing.TB, ns *netns.NS) *premises.Foreign {
	t.Helper()
	f, err := premises.Read(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func inputs(t testing.TB, ns *netns.NS) approval.Inputs {
	t.Helper()
	return approval.Inputs{Foreign: read(t, ns), Host: hostOf(), Slots: map[uint16]uint32{redSlot: redNumber, blueSlot: blueNumber}}
}

// flows returns both directions of a flow from red's port to the NIC. Those that start with "2001:" are of
// IPv6; the others' source is translated.
func flows(proto uint8, dst string, dport uint16) (forth, back *flow.Flow) {
	to := netip.MustParseAddr(dst)
	src, public := netip.MustParseAddr("192.168.0.10"), netip.MustParseAddr("198.51.100.1")
	if to.Is6() {
		src = netip.MustParseAddr("2001:db8:a::10")
		public = src
	}
	before := flow.Tuple{Proto: proto, Src: src, Dst: to, Sport: 40000, Dport: dport}
	after := before
	after.Src = public
	forth = &flow.Flow{
		Key: flow.Key{IfIndex: port, Tuple: before}, Slot: redSlot, Tracked: true,
		Rewrite: flow.Rewrite{After: after, Out: nic, Routed: true, TOS: 0x28},
	}
	k := forth.Back()
	back = &flow.Flow{Key: k, Slot: redSlot, Tracked: true, Reply: true, Rewrite: flow.Rewrite{Out: port, Routed: true}}
	home := k.Tuple
	home.Dst = src
	back.Rewrite.After = home
	return forth, back
}
