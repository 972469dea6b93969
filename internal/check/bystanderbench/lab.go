// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/check/traffic"
	"github.com/dwelltrace/dwell/internal/netns"
)

// The addresses of the lab.
//
//	left 192.0.2.1 --- [bridge of the middle] --- right 192.0.2.2
const (
	leftAddr  = "192.0.2.1"
	rightAddr = "192.0.2.2"
)

// at is where the right one listens.
func at() netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(rightAddr), 5201) }

// lab is two namespaces on a bridge of a third.
type lab struct {
	names               []string
	left, middle, right *netns.NS
}

func labPrefix() string { return fmt.Sprintf("dwby%d", os.Getpid()) }

func newLab() (l *lab, err error) {
	l = &lab{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.down())
		}
	}()
	for _, part := range []struct {
		suffix string
		ns     **netns.NS
	}{{"l", &l.left}, {"m", &l.middle}, {"r", &l.right}} {
		name := fmt.Sprintf("%s-%s", labPrefix(), part.suffix)
		if *part.ns, err = netns.Create(name); err != nil {
			return l, err
		}
		l.names = append(l.names, name)
	}
	return l, l.devices()
}

// await waits until the bridge forwards, which it does not at once. TCP sends again what is lost, UDP would
// not.
func (l *lab) await(ctx context.Context) (err error) {
	const most = 12 // of at least 5 seconds each
	for range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err = traffic.Requests(l.left, l.right, at(), 1, nil); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the bridge does not forward: %w", err)
}

// down removes the namespaces and all that is in them.
func (l *lab) down() error {
	var errs []error
	for _, ns := range []*netns.NS{l.left, l.middle, l.right} {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	for _, name := range l.names {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}

func (l *lab) devices() error {
	h, err := l.middle.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = "br0"
	if err := errors.Join(h.LinkAdd(bridge), h.LinkSetUp(bridge)); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for _, end := range []struct {
		port, addr string
		ns         *netns.NS
	}{{"left", leftAddr, l.left}, {"right", rightAddr, l.right}} {
		veth := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(end.ns.FD())}
		veth.Name = end.port
		veth.MasterIndex = bridge.Index
		if err := errors.Join(h.LinkAdd(veth), h.LinkSetUp(veth), setUp(end.ns, end.addr)); err != nil {
			return fmt.Errorf("%s: %w", end.port, err)
		}
	}
	return nil
}

// setUp gives the device of an end its address.
func setUp(ns *netns.NS, addr string) error {
	h, err := ns.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr + "/24")
	if err != nil {
		return err
	}
	return errors.Join(h.AddrAdd(link, a), h.LinkSetUp(link))
}
