// SPDX-License-Identifier: Apache-2.0

// Package liberal tells connection tracking not to check the sequence numbers of single TCP
// connections.
//
// Connection tracking follows the windows of a connection by the packets that it sees. If most of
// them take the fast path, it sees a packet of which the numbers are far beyond what it knows, and
// calls it invalid. The kernel's own flow tables therefore set IP_CT_TCP_FLAG_BE_LIBERAL for both
// directions of each connection that they take; this does the same over ctnetlink. The host's setting
// nf_conntrack_tcp_be_liberal, which would be for all connections, is left as it is.
//
// The request is written here: the Go libraries for ctnetlink cannot set these flags without
// setting the connection's state, too, which may have changed since it was read.
package liberal

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
)

// ErrGone is returned if connection tracking does not know the connection (any more), or not in its
// default zone.
var ErrGone = errors.New("connection tracking does not know the connection")

// Conn is a connection to ctnetlink. Its methods may be called by several goroutines.
type Conn struct {
	mu sync.Mutex
	nl *netlink.Conn
}

// Open connects to ctnetlink in the namespace, nil for the process's. It needs CAP_NET_ADMIN there
// when it is used. The caller closes it.
func Open(ns *netns.NS) (*Conn, error) {
	config := &netlink.Config{}
	if ns != nil {
		config.NetNS = ns.FD()
	}
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, config)
	if err != nil {
		return nil, fmt.Errorf("opening ctnetlink: %w", err)
	}
	// Acknowledgements need not repeat the request.
	if err := nl.SetOption(netlink.CapAcknowledge, true); err != nil {
		return nil, errors.Join(fmt.Errorf("opening ctnetlink: %w", err), nl.Close())
	}
	return &Conn{nl: nl}, nil
}

// Close closes the connection to ctnetlink. Connections of TCP stay as they are.
func (c *Conn) Close() error { return c.nl.Close() }

// Numbers of include/uapi/linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_tcp.h that
// package unix does not have.
const (
	messageNew = unix.NFNL_SUBSYS_CTNETLINK << 8 // | IPCTNL_MSG_CT_NEW, which is 0

	messageGet = messageNew | 1 // IPCTNL_MSG_CT_GET

	ctaTupleOrig = 1
	ctaStatus    = 3
	ctaProtoInfo = 4
	ctaHelp      = 5
	ctaTimeout   = 7

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum     = 1
	ctaProtoSrcPort = 2
	ctaProtoDstPort = 3

	ctaProtoICMPID     = 4
	ctaProtoICMPType   = 5
	ctaProtoICMPCode   = 6
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9

	ctaHelpName = 1

	ctaZone = 18

	ctaProtoInfoTCP              = 1
	ctaProtoInfoTCPFlagsOriginal = 4
	ctaProtoInfoTCPFlagsReply    = 5

	flagBeLiberal = 0x08
)

// Set makes both directions of a TCP connection liberal. The tuple is that of its first packet as
// it arrived, in that zone of connection tracking. Nothing else of the connection is changed, and no other connection. ErrGone if there is none.
func (c *Conn) Set(original flow.Tuple, zone uint16) error {
	if original.Proto != unix.IPPROTO_TCP {
		return fmt.Errorf("protocol %d has no windows: only TCP connections can be made liberal", original.Proto)
	}
	request, err := encode(original, func(e *netlink.AttributeEncoder) {
		inZone(e, zone)
		liberalBoth(e)
	})
	if err != nil {
		return fmt.Errorf("writing a request to ctnetlink: %w", err)
	}
	_, err = c.execute(messageNew, request)
	if err != nil && !errors.Is(err, ErrGone) {
		return fmt.Errorf("asking ctnetlink not to check a connection's windows (is CAP_NET_ADMIN there?): %w", err)
	}
	return err
}

func (c *Conn) execute(message netlink.HeaderType, request []byte) ([]netlink.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, err := c.nl.Execute(netlink.Message{
		Header: netlink.Header{Type: message, Flags: netlink.Request | netlink.Acknowledge},
		Data:   request,
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrGone
	}
	return answer, err
}

// encode writes a request about the connection of a tuple, with what more adds to it.
func encode(t flow.Tuple, more func(*netlink.AttributeEncoder)) ([]byte, error) {
	family := byte(unix.AF_INET)
	if t.Src.Is6() {
		family = unix.AF_INET6
	}
	e := netlink.NewAttributeEncoder()
	e.Nested(ctaTupleOrig, func(e *netlink.AttributeEncoder) error {
		e.Nested(ctaTupleIP, func(e *netlink.AttributeEncoder) error { return addresses(e, t.Src, t.Dst) })
		e.Nested(ctaTupleProto, func(e *netlink.AttributeEncoder) error {
			e.Uint8(ctaProtoNum, t.Proto)
			return ends(e, t)
		})
		return nil
	})
	more(e)
	attrs, err := e.Encode()
	if err != nil {
		return nil, err
	}
	return append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...), nil // struct nfgenmsg
}

// inZone adds the zone, unless it is the default one, which kernels without zones know, too.
func inZone(e *netlink.AttributeEncoder, zone uint16) {
	if zone != 0 {
		e.Bytes(ctaZone, []byte{byte(zone >> 8), byte(zone)})
	}
}

// liberalBoth adds the flag for both directions, as value and mask. The state is left out, so that it stays
// as it is.
func liberalBoth(e *netlink.AttributeEncoder) {
	flags := []byte{flagBeLiberal, flagBeLiberal}
	e.Nested(ctaProtoInfo, func(e *netlink.AttributeEncoder) error {
		e.Nested(ctaProtoInfoTCP, func(e *netlink.AttributeEncoder) error {
			e.Bytes(ctaProtoInfoTCPFlagsOriginal, flags)
			e.Bytes(ctaProtoInfoTCPFlagsReply, flags)
			return nil
		})
		return nil
	})
}

// ends adds ports or, of an echo, its identifier, type and code.
func ends(e *netlink.AttributeEncoder, t flow.Tuple) error {
	sport := []byte{byte(t.Sport >> 8), byte(t.Sport)}
	switch t.Proto {
	case unix.IPPROTO_ICMP:
		e.Bytes(ctaProtoICMPID, sport)
		e.Uint8(ctaProtoICMPType, uint8(t.Dport>>8))
		e.Uint8(ctaProtoICMPCode, uint8(t.Dport))
	case unix.IPPROTO_ICMPV6:
		e.Bytes(ctaProtoICMPv6ID, sport)
		e.Uint8(ctaProtoICMPv6Type, uint8(t.Dport>>8))
		e.Uint8(ctaProtoICMPv6Code, uint8(t.Dport))
	default:
		e.Bytes(ctaProtoSrcPort, sport)
		e.Bytes(ctaProtoDstPort, []byte{byte(t.Dport >> 8), byte(t.Dport)})
	}
	return nil
}

func addresses(e *netlink.AttributeEncoder, src, dst netip.Addr) error {
	if src.Is6() != dst.Is6() {
		return fmt.Errorf("addresses %s and %s are not of the same version of IP", src, dst)
	}
	from, to := uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if src.Is6() {
		from, to = ctaIPv6Src, ctaIPv6Dst
	}
	e.Bytes(from, src.AsSlice())
	e.Bytes(to, dst.AsSlice())
	return nil
}
