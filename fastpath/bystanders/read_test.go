// SPDX-License-Identifier: Apache-2.0

package bystanders_test

import (
	"crypto/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/bystanders"
	"github.com/dwelltrace/dwell/fastpath/host"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func space(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-by-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return ns
}

func run(t *testing.T, ns *netns.NS, script string) {
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

// world is a hypervisor with a guest of red's and one of blue's, each behind a bridge, a tap of blue's,
// and others' containers.
type world struct {
	*testing.T
	ns, guest *netns.NS
	set       *tenant.Set
	nics      []string
	ours      map[ebpf.ProgramID]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	set, err := tenant.NewSet([]tenant.Tenant{
		{ID: "red", Bridges: []string{"br-red"}, Ports: []string{"red0"}},
		{ID: "blue", Ports: []string{"blue0", "tap-blue"}},
	}, nil, []string{"ens3"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: space(t), guest: space(t), set: set}
	run(t, w.ns, `
		for b in br-red br-blue docker0; do ip link add $b type bridge; ip link set $b up; done
		ip link add red0 type veth peer name eth0 netns `+w.guest.Name()+`
		ip link add blue0 type veth peer name eth1 netns `+w.guest.Name()+`
		ip link add veth77 type veth peer name eth77 netns `+w.guest.Name()+`
		ip link add ens3 type veth peer name far netns `+w.guest.Name()+`
		ip tuntap add tap-blue mode tap
		ip link set red0 master br-red; ip link set blue0 master br-blue; ip link set tap-blue master br-blue
		ip link set veth77 master docker0
		for d in red0 blue0 tap-blue veth77 ens3; do ip link set $d up; done
		ip addr add 192.0.2.1/24 dev ens3; ip route add default via 192.0.2.254
	`)
	run(t, w.guest, "for d in eth0 eth1 eth77 far; do ip link set $d up; done")
	return w
}

func (w *world) read() *bystanders.Facts {
	w.Helper()
	h, err := host.Read(w.ns, w.set)
	if err != nil {
		w.Fatal(err)
	}
	f, err := bystanders.Read(w.Context(), bystanders.Options{NetNS: w.ns, Host: h, NICs: w.nics, Ours: w.ours})
	if err != nil {
		w.Fatal(err)
	}
	return f
}

func device(t *testing.T, f *bystanders.Facts, name string) bystanders.Device {
	t.Helper()
	for _, d := range f.Devices {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("%s is not among %+v", name, f.Devices)
	return bystanders.Device{}
}

// A host as they usually are blocks nothing; whose the ends of pairs are is known.
func TestNothingInTheWay(t *testing.T) {
	w := newWorld(t)
	run(t, w.ns, `
		tc qdisc add dev ens3 root tbf rate 1gbit burst 100k latency 10ms
		tc qdisc add dev veth77 root tbf rate 1mbit burst 10k latency 10ms
		tc qdisc add dev red0 clsact
		nft 'add table bridge b; add chain bridge b c { type filter hook forward priority 0; }'
	`)
	f := w.read()
	if f.Blocked != "" || len(f.Tenants) > 0 || len(f.Devices) != 4 {
		t.Fatalf("%+v", f)
	}
	for _, d := range f.Devices {
		if d.Blocked != "" {
			t.Errorf("%s is blocked: %s", d.Name, d.Blocked)
		}
	}
	if d := device(t, f, "ens3"); d.Port || d.Peer {
		t.Errorf("NIC: %+v", d)
	}
	red := device(t, f, "red0")
	var peer int
	if err := w.guest.Do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err == nil {
			peer = l.Attrs().Index
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !red.Port || red.Tenant != "red" || !red.Peer || red.PeerNetNS != w.guest.Inode() || red.PeerIndex != peer {
		t.Errorf("port: %+v; its other end is %d in %d", red, peer, w.guest.Inode())
	}
	if tap := device(t, f, "tap-blue"); tap.Tenant != "blue" || tap.Peer || tap.PeerIndex != 0 || tap.NoPeer != "tap-blue is not a veth" {
		t.Errorf("tap: %+v", tap)
	}
}

// What is in the way is said, of everybody, of a tenant, or of a device.
func TestInTheWay(t *testing.T) {
	const tbf = " root tbf rate 1mbit burst 10k latency 10ms"
	for _, c := range []struct {
		script string
		// where is "" for everybody, a tenant, or a device; peer is set if only that is not possible.
		where string
		peer  bool
		want  string
	}{
		{"tc qdisc add dev br-red" + tbf, "red", false, "br-red, which would be passed over, has the queue tbf"},
		{"tc qdisc add dev red0" + tbf, "red0", true, "the queue tbf of red0 would be passed over"},
		{"tc qdisc add dev red0 root handle 1: htb", "red0", true, "the queue htb of red0"},
		{"tc qdisc add dev red0 ingress; tc filter add dev red0 parent ffff: protocol ip u32 match u32 0 0 flowid 1:1", "red0", false, "red0 has filters at TC ingress"},
		{"tc qdisc add dev ens3 clsact; tc filter add dev ens3 egress protocol ip u32 match u32 0 0 flowid 1:1", "ens3", false, "ens3 has filters at TC egress"},
		{"tc qdisc add dev br-blue clsact; tc filter add dev br-blue ingress protocol ip u32 match u32 0 0 flowid 1:1", "blue", false, "br-blue, which would be passed over, has filters at TC ingress"},
		{"nft 'add table netdev t; add chain netdev t c { type filter hook ingress device red0 priority 0; }'", "red0", false, "red0 has the chain c of table t of nf_tables"},
		{"nft 'add table netdev t; add chain netdev t c { type filter hook egress devices = { ens3, lo } priority 0; }'", "ens3", false, "ens3 has the chain c"},
		{"nft 'add table inet t; add chain inet t c { type filter hook ingress device br-red priority 0; }'", "red", false, "br-red, which would be passed over, has the chain c"},
		{"ip link set br-blue type bridge ageing_time 2999", "blue", false, "bridge br-blue forgets MACs after 30.0 s"},
		{"ip link set ens3 master docker0; tc qdisc add dev docker0" + tbf, "", false, "docker0, which would be passed over, has the queue tbf, and it may concern"},
		{"ip link add t0 type vxlan id 7 dstport 4789 remote 192.0.2.9; tc qdisc add dev t0" + tbf, "", false, "t0, which would be passed over, has the queue tbf"},
		{"ip link add patch0 type veth peer name patch1; ip link set patch0 master br-red; tc qdisc add dev patch1" + tbf, "red", false, "patch1, which would be passed over, has the queue tbf"},
		{"ip link add link br-red name mv0 type macvlan; tc qdisc add dev mv0" + tbf, "red", false, "mv0, which would be passed over, has the queue tbf"},
		{"ip route del default", "", false, "no default route leads to a device that is not a tenant's"},
		{"ip link del red0; ip link add red0 type veth peer name red1", "red0", true, "the other end of red0 is not in another namespace"},
	} {
		t.Run(c.script, func(t *testing.T) {
			w := newWorld(t)
			run(t, w.ns, c.script)
			f := w.read()
			got := f.Blocked
			for id, why := range f.Tenants {
				if id != c.where {
					t.Errorf("tenant %s: %s", id, why)
				}
			}
			for _, d := range f.Devices {
				if d.Blocked != "" && (d.Name != c.where || c.peer) {
					t.Errorf("device %s: %s", d.Name, d.Blocked)
				}
			}
			switch {
			case c.peer:
				got = device(t, f, c.where).NoPeer
			case c.where == "red" || c.where == "blue":
				got = f.Tenants[c.where]
			case c.where != "":
				got = device(t, f, c.where).Blocked
			}
			if c.where != "" && f.Blocked != "" {
				t.Errorf("everybody: %s", f.Blocked)
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, want %q…", got, c.want)
			}
		})
	}
}

// program loads one that lets everything pass.
func program(t *testing.T, kind ebpf.ProgramType, name string) *ebpf.Program {
	t.Helper()
	const next = -1
	value := int64(next)
	if kind == ebpf.XDP {
		value = 2
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: kind, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.LoadImm(asm.R0, value, asm.DWord), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// attach attaches a program at TCX or XDP for as long as the test runs.
func attach(t *testing.T, ns *netns.NS, name string, p *ebpf.Program, at ebpf.AttachType) link.Link {
	t.Helper()
	var l link.Link
	err := ns.Do(func() error {
		dev, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if p.Type() == ebpf.XDP {
			l, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: dev.Attrs().Index})
			return err
		}
		l, err = link.AttachTCX(link.TCXOptions{Program: p, Interface: dev.Attrs().Index, Attach: at})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Programs of others at TCX block, dwell's own do not, and are told apart by what is pinned.
func TestPrograms(t *testing.T) {
	dir := pinDirectory(t)
	for _, where := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		w := newWorld(t)
		p := program(t, ebpf.SchedCLS, "ingress")
		l := attach(t, w.ns, "red0", p, where)
		attach(t, w.ns, "br-blue", p, where)
		f := w.read()
		if why := device(t, f, "red0").Blocked; !strings.HasPrefix(why, `red0 has the program "ingress" (number `) {
			t.Errorf("red0: %q", why)
		}
		if why := f.Why("blue"); !strings.HasPrefix(why, `br-blue, which would be passed over, has the program "ingress"`) {
			t.Errorf("blue: %q", why)
		}
		if why := f.Why("red"); why != "" {
			t.Errorf("red: %q", why)
		}
		path := filepath.Join(dir, "link_"+rand.Text()[:8])
		if err := l.Pin(path); err != nil {
			t.Fatal(err)
		}
		var err error
		if w.ours, err = bystanders.Pinned(filepath.Join(dir, "link_*"), filepath.Join(dir, "nothing*")); err != nil {
			t.Fatal(err)
		}
		if f := w.read(); device(t, f, "red0").Blocked != "" || f.Why("blue") != "" {
			t.Errorf("dwell's own: %+v", f)
		}
		for id := range w.ours {
			w.ours[id] = "another"
		}
		if f := w.read(); device(t, f, "red0").Blocked == "" {
			t.Error("a program with another name is taken for dwell's")
		}
		if err := l.Unpin(); err != nil {
			t.Fatal(err)
		}
	}
}

// pinDirectory returns a directory on a file system of BPF.
func pinDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "bpf", "bpf", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return dir
}

// A program at XDP is in the way between port and NIC. At the guest's end it is for the peer only.
func TestXDP(t *testing.T) {
	w := newWorld(t)
	p := program(t, ebpf.XDP, "xdp")
	attach(t, w.guest, "eth0", p, ebpf.AttachXDP)
	attach(t, w.ns, "ens3", p, ebpf.AttachXDP)
	attach(t, w.ns, "br-blue", p, ebpf.AttachXDP)
	f := w.read()
	if d := device(t, f, "red0"); d.Blocked != "" || d.Peer || d.NoPeer != "the other end of red0 has a program at XDP, which would be passed over" {
		t.Errorf("red0: %+v", d)
	}
	if d := device(t, f, "blue0"); !d.Peer {
		t.Errorf("blue0: %+v", d)
	}
	if d := device(t, f, "ens3"); d.Blocked != "" {
		t.Errorf("ens3: %+v", d)
	}
	if why := f.Why("blue"); !strings.HasPrefix(why, "br-blue, which would be passed over, has a program at XDP") {
		t.Errorf("blue: %q", why)
	}
	if why := f.Why("red"); why != "" {
		t.Errorf("red: %q", why)
	}
}
