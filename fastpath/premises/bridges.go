// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"fmt"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Attributes of a link's kind.
const (
	linkKind = 1 // IFLA_INFO_KIND
	linkData = 2 // IFLA_INFO_DATA
)

// readBridges notes which bridges call iptables by a setting of their own (nf_call_iptables).
func (f *Foreign) readBridges(ns *netns.NS) error {
	var conn *mdl.Conn
	err := netns.In(ns, func() (err error) {
		conn, err = mdl.Dial(unix.NETLINK_ROUTE, nil)
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	links, err := conn.Execute(mdl.Message{
		Header: mdl.Header{Type: unix.RTM_GETLINK, Flags: mdl.Request | mdl.Dump}, Data: make([]byte, unix.SizeofIfInfomsg),
	})
	if err != nil {
		return fmt.Errorf("listing devices: %w", err)
	}
	for _, l := range links {
		if len(l.Data) < unix.SizeofIfInfomsg {
			continue
		}
		info := parse(parse(l.Data[unix.SizeofIfInfomsg:])[unix.IFLA_LINKINFO])
		if text(info[linkKind]) != "bridge" {
			continue
		}
		data := parse(info[linkData])
		f.Bridged4 = f.Bridged4 || number(data[unix.IFLA_BR_NF_CALL_IPTABLES]) != 0
		f.Bridged6 = f.Bridged6 || number(data[unix.IFLA_BR_NF_CALL_IP6TABLES]) != 0
	}
	return nil
}
