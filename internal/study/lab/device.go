// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// vxlanPort is the UDP port that IANA assigned to VXLAN.
const vxlanPort = 4789

// ensureBridge makes the bridge, or takes the one that is there.
func (s *space) ensureBridge(b Bridge) error {
	snooping := false
	link, err := s.ensureLink(&netlink.Bridge{LinkAttrs: named(b.Name), MulticastSnooping: &snooping})
	if err != nil {
		return err
	}
	return s.nl.LinkSetUp(link)
}

// ensureVXLAN makes one end of a tunnel, or takes the one that is there.
func (s *space) ensureVXLAN(v VXLAN) error {
	link, err := s.ensureLink(&netlink.Vxlan{
		LinkAttrs: named(v.Name),
		VxlanId:   v.VNI,
		SrcAddr:   v.Local.AsSlice(),
		Group:     v.Remote.AsSlice(),
		Port:      vxlanPort,
	})
	if err != nil {
		return err
	}
	return s.connect(link, v.Port)
}

// ensureLink makes the device, or takes one of that name and type.
func (s *space) ensureLink(want netlink.Link) (netlink.Link, error) {
	name := want.Attrs().Name
	have, err := s.link(name)
	if err != nil {
		return nil, err
	}
	if have != nil && have.Type() == want.Type() {
		return have, nil
	}
	if have != nil {
		if err := s.nl.LinkDel(have); err != nil {
			return nil, fmt.Errorf("removing the %s %s: %w", have.Type(), name, err)
		}
	}
	if err := s.nl.LinkAdd(want); err != nil {
		return nil, fmt.Errorf("making %s (has the kernel %s?): %w", name, want.Type(), err)
	}
	return want, nil
}

// ensureVeth makes the pair with each end where it belongs from the start, or
// takes the pair that is there.
func ensureVeth(a, b *space, v Veth) error {
	endA, err := a.link(v[0].Name)
	if err != nil {
		return err
	}
	endB, err := b.link(v[1].Name)
	if err != nil {
		return err
	}
	if !paired(endA, endB) {
		if err := errors.Join(a.remove(endA), b.remove(endB)); err != nil {
			return err
		}
		err := a.nl.LinkAdd(&netlink.Veth{
			LinkAttrs:     named(v[0].Name),
			PeerName:      v[1].Name,
			PeerNamespace: netlink.NsFd(b.FD()),
		})
		if err != nil {
			return fmt.Errorf("making %s and %s (has the kernel veth?): %w", v[0].Name, v[1].Name, err)
		}
		if endA, err = a.nl.LinkByName(v[0].Name); err != nil {
			return err
		}
		if endB, err = b.nl.LinkByName(v[1].Name); err != nil {
			return err
		}
	}
	return errors.Join(a.connect(endA, v[0]), b.connect(endB, v[1]))
}

// paired reports whether the two are the ends of one veth pair.
func paired(a, b netlink.Link) bool {
	return a != nil && b != nil && a.Type() == "veth" && b.Type() == "veth" &&
		a.Attrs().ParentIndex == b.Attrs().Index && b.Attrs().ParentIndex == a.Attrs().Index
}

// connect makes the device a port of its bridge, if it has one, and brings it up.
func (s *space) connect(link netlink.Link, p Port) error {
	if p.Bridge != "" {
		br, err := s.nl.LinkByName(p.Bridge)
		if err != nil {
			return fmt.Errorf("bridge %s of %s: %w", p.Bridge, p.Name, err)
		}
		if link.Attrs().MasterIndex != br.Attrs().Index {
			if err := s.nl.LinkSetMaster(link, br); err != nil {
				return fmt.Errorf("making %s a port of %s: %w", p.Name, p.Bridge, err)
			}
		}
	}
	return s.nl.LinkSetUp(link)
}

// link returns the named device, or nil if there is none.
func (s *space) link(name string) (netlink.Link, error) {
	link, err := s.nl.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	return link, err
}

// remove deletes a device. With one end of a veth pair goes the other, which
// may be the next to be removed; one that is gone is not an error.
func (s *space) remove(link netlink.Link) error {
	if link == nil {
		return nil
	}
	if have, err := s.link(link.Attrs().Name); have == nil {
		return err
	}
	return s.nl.LinkDel(link)
}

func named(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return attrs
}

func ipNet(ip []byte, bits int) *net.IPNet {
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(bits, 8*len(ip))}
}
