// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/host"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func space(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-ho-" + rand.Text()[:8]
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

func attrs(name string, master int) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name, a.MasterIndex = name, master
	return a
}

// do runs steps in the namespace.
func do(t *testing.T, ns *netns.NS, steps ...func() error) {
	t.Helper()
	err := ns.Do(func() error {
		for i, step := range steps {
			if err := step(); err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What the kernel says of bridges, pairs, taps, alternative names, MACs, addresses and devices
// on top of others is understood.
func TestRead(t *testing.T) {
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"a-long-name-of-a-port-of-red"}, Bridges: []string{"br-red"}},
		{ID: "blue", Ports: []string{"tap-blue"}},
	}, nil, []string{"ens3"})
	if err != nil {
		t.Fatal(err)
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	red := &netlink.Bridge{LinkAttrs: attrs("br-red", 0)}
	red.HardwareAddr = mac
	ns := space(t)
	do(t, ns,
		func() error { return netlink.LinkAdd(red) },
		func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs("p0", red.Index), PeerName: "ens3"})
		},
		func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs("q0", 0), PeerName: "q1"})
		},
		func() error {
			return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs("tap-blue", 0), Mode: netlink.TUNTAP_MODE_TAP})
		},
		func() error {
			l, err := netlink.LinkByName("q0")
			if err != nil {
				return err
			}
			return netlink.LinkAddAltName(l, "a-long-name-of-a-port-of-red")
		},
		func() error {
			l, err := netlink.LinkByName("tap-blue")
			if err != nil {
				return err
			}
			return netlink.LinkAdd(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "mv0", ParentIndex: l.Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE})
		},
		func() error {
			addr, err := netlink.ParseAddr("192.0.2.1/24")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(red, addr)
		},
	)
	h, err := host.Read(ns, set)
	if err != nil {
		t.Fatal(err)
	}
	got := h.Get("red")
	if got.Problem != "" || got.Number != set.Number("red") || len(got.Devices) != 2 || len(got.Ports) != 2 {
		t.Fatalf("red has %+v", got)
	}
	if d := got.Devices[0]; d.Name != "br-red" || d.MAC != [6]byte(mac) || !slices.Contains(d.Addrs, netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("br-red: %+v", d)
	}
	if p := got.Ports[0]; p.Name != "p0" || p.Device != red.Index {
		t.Errorf("p0: %+v", p)
	}
	if p := got.Ports[1]; p.Name != "q0" || p.Device != p.Index {
		t.Errorf("q0: %+v", p)
	}
	if got := h.Get("blue"); len(got.Ports) != 1 || !strings.HasPrefix(got.Problem, "mv0, a macvlan, is on top of tap-blue") {
		t.Errorf("blue has %+v", got)
	}
	if !slices.Contains(h.Uplinks, "ens3") || slices.Contains(h.Uplinks, "lo") {
		t.Errorf("uplinks %q", h.Uplinks)
	}
	if !slices.Contains(h.Local, netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("local addresses %v", h.Local)
	}
}

// The lab's tenants can have a firewall.
func TestLab(t *testing.T) {
	l, err := lab.Up(t.Context(), "tenants", lab.Options{Prefix: fmt.Sprintf("dwh%d", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ns, err := l.Open(lab.Hypervisor)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Ports: []string{"tap-red-*"}, Bridges: []string{"br-red"}},
		{ID: "blue", Ports: []string{"tap-blue-*"}},
	}, nil, []string{"ens3"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.Read(ns, set)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"red", "blue"} {
		got := h.Get(id)
		if got.Problem != "" || len(got.Devices) != 1 || got.Devices[0].Name != "br-"+id || len(got.Ports) != 1 || got.Ports[0].Name != "tap-"+id+"-0" {
			t.Errorf("%s has %+v", id, got)
		}
	}
}

// A port that comes, is put on a bridge or gets an address is announced; other namespaces' are
// not needed to end.
func TestWatch(t *testing.T) {
	ns := space(t)
	ctx, cancel := context.WithCancel(t.Context())
	calls, done := make(chan struct{}, 1000), make(chan error)
	go func() { done <- host.Watch(ctx, ns, func() { calls <- struct{}{} }) }()
	<-calls
	link := &netlink.Bridge{LinkAttrs: attrs("br-red", 0)}
	// Each step waits until it is announced.
	for _, step := range []func() error{
		func() error { return netlink.LinkAdd(link) },
		func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs("p0", link.Index), PeerName: "p1"})
		},
		func() error {
			addr, err := netlink.ParseAddr("192.0.2.1/24")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(link, addr)
		},
	} {
		for len(calls) > 0 {
			<-calls
		}
		do(t, ns, step)
		<-calls
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
