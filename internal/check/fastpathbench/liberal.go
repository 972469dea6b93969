// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
)

// beLiberal has connection tracking not look at the sequence numbers of a TCP connection, of which it
// will not see all packets. The tuple is that of either direction.
func beLiberal(ns *netns.NS, t flow.Tuple) error {
	const flagBeLiberal = 0x08 // IP_CT_TCP_FLAG_BE_LIBERAL
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|nl.IPCTNL_MSG_CT_NEW, unix.NLM_F_ACK)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_INET, Version: nl.NFNETLINK_V0})
	src, dst := t.Src.As4(), t.Dst.As4()
	tuple := nl.NewRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_ORIG, nil)
	ip := tuple.AddRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_IP, nil)
	ip.AddRtAttr(nl.CTA_IP_V4_SRC, src[:])
	ip.AddRtAttr(nl.CTA_IP_V4_DST, dst[:])
	proto := tuple.AddRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_PROTO, nil)
	proto.AddRtAttr(nl.CTA_PROTO_NUM, []byte{t.Proto})
	proto.AddRtAttr(nl.CTA_PROTO_SRC_PORT, binary.BigEndian.AppendUint16(nil, t.Sport))
	proto.AddRtAttr(nl.CTA_PROTO_DST_PORT, binary.BigEndian.AppendUint16(nil, t.Dport))
	info := nl.NewRtAttr(unix.NLA_F_NESTED|nl.CTA_PROTOINFO, nil)
	tcp := info.AddRtAttr(unix.NLA_F_NESTED|nl.CTA_PROTOINFO_TCP, nil)
	for _, direction := range []int{nl.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, nl.CTA_PROTOINFO_TCP_FLAGS_REPLY} {
		tcp.AddRtAttr(direction, []byte{flagBeLiberal, flagBeLiberal}) // value and mask
	}
	request.AddData(tuple)
	request.AddData(info)
	return ns.Do(func() error {
		if _, err := request.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
			return fmt.Errorf("conntrack: sequence numbers of %v: %w", t, err)
		}
		return nil
	})
}
