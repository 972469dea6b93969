// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Network is one of the twins: a hypervisor, and the far ends of its wires in a namespace without
// addresses, where nothing answers but what a test sends.
type Network struct {
	Spec       Spec
	Hypervisor *netns.NS
	wires      *netns.NS
	names      []string
	nl, far    *netlink.Handle
	ends       [Ends]wire.End
	probes     uint64
}

// NewNetwork makes a twin. Its namespaces' names begin with the name, and have the process's ID in
// them. It needs root.
func NewNetwork(name string, spec Spec) (*Network, error) {
	n := &Network{Spec: spec}
	if err := n.build(fmt.Sprintf("%s-%d", name, os.Getpid())); err != nil {
		return nil, errors.Join(fmt.Errorf("making the network %s (%s): %w", name, spec.Name, err), n.Close())
	}
	return n, nil
}

func (n *Network) build(name string) (err error) {
	if n.Hypervisor, err = n.create(name + "-hypervisor"); err != nil {
		return err
	}
	if n.wires, err = n.create(name + "-wire"); err != nil {
		return err
	}
	if n.nl, err = n.Hypervisor.Netlink(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		return err
	}
	if n.far, err = n.wires.Netlink(); err != nil {
		return err
	}
	if err := n.wires.Do(func() error { return sysctl("net/ipv6/conf/default/disable_ipv6=1") }); err != nil {
		return err
	}
	if err := n.Hypervisor.Do(n.Spec.prepareHost); err != nil {
		return err
	}
	if err := n.addLinks(); err != nil {
		return err
	}
	if err := n.addAddresses(); err != nil {
		return err
	}
	if err := n.install(); err != nil {
		return err
	}
	return n.awake()
}

func (n *Network) create(name string) (*netns.NS, error) {
	if err := netns.Delete(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ns, err := netns.Create(name)
	if err == nil {
		n.names = append(n.names, name)
	}
	return ns, err
}

// prepareHost makes a router of the namespace that says nothing of its own accord and that answers as
// often as it is asked.
func (s *Spec) prepareHost() error {
	settings := []string{
		"net/ipv4/ip_forward=1",
		"net/ipv6/conf/all/forwarding=1", "net/ipv6/conf/default/forwarding=1",
		"net/ipv6/conf/default/accept_dad=0", "net/ipv6/conf/default/dad_transmits=0",
		"net/ipv6/conf/default/router_solicitations=0", "net/ipv6/conf/default/mldv1_unsolicited_report_interval=100000",
		"net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/default/rp_filter=0",
		"net/ipv4/icmp_ratelimit=0", "net/ipv4/icmp_ratemask=0", "net/ipv6/icmp/ratelimit=0", "net/ipv6/icmp/ratemask=255",
		// What it is told in IPv6 of the way to somebody must not outlive a case: it would hold for 10 minutes.
		"net/ipv6/route/mtu_expires=-1",
		"net/ipv4/conf/all/send_redirects=0", "net/ipv4/conf/default/send_redirects=0", "net/ipv4/conf/all/log_martians=0",
	}
	if !s.Windows {
		settings = append(settings, "net/netfilter/nf_conntrack_tcp_be_liberal=1")
	}
	asked := "0"
	if s.Track {
		asked = "1"
	}
	for _, key := range []string{"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"} {
		if _, err := os.Stat("/proc/sys/" + key); err == nil {
			settings = append(settings, key+"="+asked)
		} else if s.Bridge && s.Track {
			return fmt.Errorf("bridged frames cannot be filtered (is br_netfilter loaded?): %w", err)
		}
	}
	return sysctl(settings...)
}

// sysctl writes settings of the thread's namespace.
func sysctl(settings ...string) error {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s (is /proc/sys writable?): %w", key, err)
		}
	}
	return nil
}

func (n *Network) addLinks() error {
	for name, mac := range map[string]string{RedBridge: redMAC, BlueBridge: blueMAC} {
		off := false
		b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, HardwareAddr: frame.MAC(mac)}, MulticastSnooping: &off}
		if err := n.addUp(b); err != nil {
			return err
		}
	}
	for i := range ports {
		if err := n.addPort(i); err != nil {
			return fmt.Errorf("%s: %w", ports[i].name, err)
		}
	}
	if n.Spec.Overlay == Plain {
		return nil
	}
	return n.addTunnel()
}

func (n *Network) addUp(link netlink.Link) error {
	if err := n.nl.LinkAdd(link); err != nil {
		return fmt.Errorf("adding %s: %w", link.Attrs().Name, err)
	}
	return n.nl.LinkSetUp(link)
}

// master is the bridge of a port, or "".
func (s *Spec) master(end int) string {
	switch {
	case end == Blue:
		return BlueBridge
	case end != Outside || s.Bridge && s.Overlay == Plain:
		return RedBridge
	}
	return ""
}

// addPort makes a device of the hypervisor that has its far end in the other namespace.
func (n *Network) addPort(i int) (err error) {
	p, length := ports[i], jumbo
	if i == Outside {
		length = mtu
	}
	if i == Guest0 && n.Spec.Tap {
		n.ends[i], err = wire.NewTap(n.Hypervisor, p.name, !n.Spec.Software)
	} else {
		err = n.addPair(i)
	}
	if err != nil {
		return err
	}
	link, err := n.nl.LinkByName(p.name)
	if err != nil {
		return err
	}
	errs := []error{n.nl.LinkSetMTU(link, length), n.nl.LinkSetTxQLen(link, 20000)}
	if n.Spec.Tap && i == Guest0 {
		errs = append(errs, n.nl.LinkSetHardwareAddr(link, frame.MAC(p.mac)))
	}
	if name := n.Spec.master(i); name != "" {
		bridge, err := n.nl.LinkByName(name)
		if err != nil {
			return err
		}
		errs = append(errs, n.nl.LinkSetMaster(link, bridge))
	}
	if n.Spec.Software {
		errs = append(errs, n.Hypervisor.Do(func() error { return offloads(p.name, false) }))
	}
	return errors.Join(append(errs, n.nl.LinkSetUp(link))...)
}

func (n *Network) addPair(i int) error {
	p := ports[i]
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: p.name, HardwareAddr: frame.MAC(p.mac), NumTxQueues: 1, NumRxQueues: 1},
		PeerName:  p.wire, PeerHardwareAddr: frame.MAC(p.far), PeerNamespace: netlink.NsFd(n.wires.FD()),
	}
	if err := n.nl.LinkAdd(veth); err != nil {
		return err
	}
	far, err := n.far.LinkByName(p.wire)
	if err != nil {
		return err
	}
	if err := errors.Join(n.far.LinkSetMTU(far, jumbo+200), n.far.LinkSetUp(far)); err != nil {
		return err
	}
	n.ends[i], err = wire.Open(n.wires, p.wire)
	return err
}

// addTunnel makes a VXLAN device. The library for netlink cannot make one without UDP checksums.
func (n *Network) addTunnel() error {
	command := exec.Command("ip", "link", "add", tunnel, "address", tunnelMAC, "mtu", strconv.Itoa(n.Spec.room()),
		"type", "vxlan", "id", strconv.Itoa(vni), "dev", Uplink, "local", uplink4, "dstport", strconv.Itoa(frame.VXLANPort),
		"nolearning", "noudpcsum")
	err := n.Hypervisor.Do(func() error {
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
		return nil
	})
	if err != nil {
		return err
	}
	v, err := n.nl.LinkByName(tunnel)
	if err != nil {
		return err
	}
	// Segments must not be joined, because it depends on time which are.
	if err := n.Hypervisor.Do(func() error { return setOffload(tunnel, ethtoolSetGRO, false) }); err != nil {
		return err
	}
	if n.Spec.Bridge {
		bridge, err := n.nl.LinkByName(RedBridge)
		if err != nil {
			return err
		}
		if err := n.nl.LinkSetMaster(v, bridge); err != nil {
			return err
		}
	}
	if err := n.nl.LinkSetUp(v); err != nil {
		return err
	}
	return n.nl.NeighAppend(&netlink.Neigh{
		LinkIndex: v.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT,
		Flags: netlink.NTF_SELF, HardwareAddr: frame.MAC(remoteMAC), IP: net.ParseIP(router4),
	})
}

// Close removes the network.
func (n *Network) Close() error {
	var errs []error
	for _, e := range n.ends {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	for _, h := range []*netlink.Handle{n.nl, n.far} {
		if h != nil {
			h.Close()
		}
	}
	for _, ns := range []*netns.NS{n.Hypervisor, n.wires} {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	for _, name := range n.names {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}
