// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// noRoute removes a route.
func (p *place) noRoute(to string) {
	p.t.Helper()
	dst, err := netlink.ParseIPNet(to)
	p.must(err)
	p.must(p.nl.RouteDel(&netlink.Route{Dst: dst}))
}

// impatient has a device ask for its neighbours every 10 ms, instead of every second.
func (p *place) impatient(device string) {
	p.t.Helper()
	p.sysctl("ipv4/neigh/"+device+"/retrans_time_ms", "10")
}

func (p *place) mtu(device string, mtu int) {
	p.t.Helper()
	p.must(p.nl.LinkSetMTU(p.link(device), mtu))
}

func (p *place) down(device string) {
	p.t.Helper()
	p.must(p.nl.LinkSetDown(p.link(device)))
}

// rename gives a device that is up another name. Its neighbours may be forgotten.
func (p *place) rename(from, to string) {
	p.t.Helper()
	err := p.nl.LinkSetName(p.link(from), to)
	if !errors.Is(err, unix.EBUSY) { // before Linux 6.2, it must be down
		p.must(err)
		return
	}
	p.must(p.nl.LinkSetDown(p.link(from)))
	p.must(p.nl.LinkSetName(p.link(from), to))
	p.must(p.nl.LinkSetUp(p.link(to)))
	p.awaitUp(to)
}

// arp lets a device answer who has its address, or not.
func (p *place) arp(device string, on bool) {
	p.t.Helper()
	set := p.nl.LinkSetARPOff
	if on {
		set = p.nl.LinkSetARPOn
	}
	p.must(set(p.link(device)))
}

// forget removes all neighbours of a device.
func (p *place) forget(device string) {
	p.t.Helper()
	neighbours, err := p.nl.NeighList(p.index(device), netlink.FAMILY_V4)
	p.must(err)
	for i := range neighbours {
		p.must(p.nl.NeighDel(&neighbours[i]))
	}
}

// retunnel makes a tunnel device anew with another network identifier.
func (p *place) retunnel(device string, vni int) {
	p.t.Helper()
	old := p.link(device).(*netlink.Vxlan)
	p.must(p.nl.LinkDel(old))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = device
	p.must(p.nl.LinkAdd(&netlink.Vxlan{
		LinkAttrs: attrs, VxlanId: vni, SrcAddr: old.SrcAddr, Group: old.Group, Port: old.Port,
	}))
	p.must(p.nl.LinkSetUp(p.link(device)))
}

// plugIn makes a device a port of a bridge that runs the spanning tree protocol: it
// listens for 15 s before it takes packets.
func (p *place) plugIn(port, bridge string) {
	p.t.Helper()
	p.must(p.nl.LinkSetNoMaster(p.link(port)))
	p.must(p.Do(func() error {
		msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index = int32(p.index(bridge))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, []byte("bridge"))
		info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(1))
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
		req.AddData(msg)
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	}))
	p.must(p.nl.LinkSetMaster(p.link(port), p.link(bridge)))
}
