// SPDX-License-Identifier: Apache-2.0

package bystanders

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of nf_tables for hooks at devices.
const (
	hookDevices     = 4 // NFTA_HOOK_DEVS
	flowtableTable  = 1 // NFTA_FLOWTABLE_TABLE
	flowtableName   = 2 // NFTA_FLOWTABLE_NAME
	flowtableHook   = 3 // NFTA_FLOWTABLE_HOOK
	flowtableDevs   = 3 // NFTA_FLOWTABLE_HOOK_DEVS
	devicePrefix    = 2 // NFTA_DEVICE_PREFIX
	inetIngress     = 5
	typeMask        = 0x3fff
	msgGetFlowtable = 23 // NFT_MSG_GETFLOWTABLE
)

// readHooks notes chains and flow tables of nf_tables that are at devices: they see packets before a
// bridge or routing does, or after.
func (s *snapshot) readHooks() error {
	chains, err := s.ask(unix.NFT_MSG_GETCHAIN)
	if err != nil {
		return err
	}
	for _, c := range chains {
		at := parse(c.attrs)
		hook := parse(at[unix.NFTA_CHAIN_HOOK])
		if len(hook) == 0 || c.family != unix.NFPROTO_NETDEV && (c.family != unix.NFPROTO_INET || be32(hook[unix.NFTA_HOOK_HOOKNUM]) != inetIngress) {
			continue
		}
		what := fmt.Sprintf("the chain %s of table %s of nf_tables", text(at[unix.NFTA_CHAIN_NAME]), text(at[unix.NFTA_CHAIN_TABLE]))
		if name, ok := hook[unix.NFTA_HOOK_DEV]; ok {
			s.hooked(what, text(name), false)
		}
		s.hookedAll(what, hook[hookDevices])
	}
	tables, err := s.ask(msgGetFlowtable)
	if err != nil {
		return err
	}
	for _, t := range tables {
		at := parse(t.attrs)
		what := fmt.Sprintf("the flow table %s of table %s of nf_tables", text(at[flowtableName]), text(at[flowtableTable]))
		s.hookedAll(what, parse(at[flowtableHook])[flowtableDevs])
	}
	return nil
}

// hookedAll notes something at each device of a list.
func (s *snapshot) hookedAll(what string, devices []byte) {
	attrs, _ := nl.ParseRouteAttr(devices)
	for _, a := range attrs {
		s.hooked(what, text(a.Value), a.Attr.Type&typeMask == devicePrefix)
	}
}

// hooked notes something at the device with the name, or at those whose names begin with it.
func (s *snapshot) hooked(what, name string, prefix bool) {
	for _, d := range s.devices {
		if d.name == name || prefix && strings.HasPrefix(d.name, name) {
			d.foreign = append(d.foreign, what)
		}
	}
}

// object is one of nf_tables.
type object struct {
	family byte
	attrs  []byte
}

// ask lists objects of nf_tables of all families.
func (s *snapshot) ask(what int) ([]object, error) {
	const header = 4
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|what, unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: unix.NFNETLINK_V0})
	got, err := again(func() ([][]byte, error) { return req.Execute(unix.NETLINK_NETFILTER, 0) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil // a kernel without nf_tables, or without that
	}
	if err != nil {
		return nil, err
	}
	var out []object
	for _, b := range got {
		if len(b) >= header {
			out = append(out, object{b[0], b[header:]})
		}
	}
	return out, nil
}

// parse takes attributes apart, by type.
func parse(b []byte) map[int][]byte {
	out := map[int][]byte{}
	attrs, _ := nl.ParseRouteAttr(b)
	for _, a := range attrs {
		out[int(a.Attr.Type&typeMask)] = a.Value
	}
	return out
}

func text(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }

func be32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}
