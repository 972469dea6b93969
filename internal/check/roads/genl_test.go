// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// generic sends a command of a generic netlink family in a namespace. header is what the
// family has before its attributes, or nil.
func (w *world) generic(role, family string, command uint8, header []byte, attrs ...*nl.RtAttr) {
	w.must(w.at(role).Do(func() error {
		h, err := w.at(role).nl.GenlFamilyGet(family)
		if err != nil {
			return err
		}
		req := nl.NewNetlinkRequest(int(h.ID), unix.NLM_F_ACK)
		req.AddData(&nl.Genlmsg{Command: command, Version: 1})
		if header != nil {
			req.AddData(rawHeader(header))
		}
		for _, a := range attrs {
			req.AddData(a)
		}
		_, err = req.Execute(unix.NETLINK_GENERIC, 0)
		if errors.Is(err, unix.ESRCH) {
			return nil // done, but nobody listens to the news of it
		}
		return err
	}), family)
}

// rawHeader is what a family has before its attributes.
type rawHeader []byte

func (h rawHeader) Len() int          { return len(h) }
func (h rawHeader) Serialize() []byte { return h }

// nested makes an attribute of attributes.
func nested(typ int, attrs ...*nl.RtAttr) *nl.RtAttr {
	n := nl.NewRtAttr(typ|unix.NLA_F_NESTED, nil)
	for _, a := range attrs {
		n.AddChild(a)
	}
	return n
}

func u32(typ int, v uint32) *nl.RtAttr { return nl.NewRtAttr(typ, nl.Uint32Attr(v)) }

// teamMode chooses how a team sends (include/uapi/linux/if_team.h).
func (w *world) teamMode(role, name, mode string) {
	const (
		cmdOptionsSet = 1
		attrIfindex   = 1
		attrOptions   = 2
		itemOption    = 1
		optionName    = 1
		optionType    = 3
		optionData    = 4
		nlaString     = 5
	)
	w.generic(role, "team", cmdOptionsSet, nil,
		u32(attrIfindex, uint32(w.index(role, name))),
		nested(attrOptions, nested(itemOption,
			nl.NewRtAttr(optionName, nl.ZeroTerminated("mode")),
			nl.NewRtAttr(optionType, []byte{nlaString}),
			nl.NewRtAttr(optionData, nl.ZeroTerminated(mode)))))
}

// wireGuardPeer is the other end of a WireGuard device.
type wireGuardPeer struct {
	public   []byte
	endpoint [4]byte
	port     uint16
	allowed  [4]byte
}

// wireGuard gives a device its key and its peer (include/uapi/linux/wireguard.h).
func (w *world) wireGuard(role, name string, private []byte, port uint16, peer wireGuardPeer) {
	const (
		cmdSetDevice   = 1
		deviceIfindex  = 1
		devicePrivate  = 3
		devicePort     = 6
		devicePeers    = 8
		peerPublic     = 1
		peerEndpoint   = 4
		peerAllowedIPs = 9
		allowedFamily  = 1
		allowedAddr    = 2
		allowedMask    = 3
	)
	u16 := func(typ int, v uint16) *nl.RtAttr { return nl.NewRtAttr(typ, nl.Uint16Attr(v)) }
	var endpoint bytes.Buffer // struct sockaddr_in
	endpoint.Write(binary.NativeEndian.AppendUint16(nil, unix.AF_INET))
	endpoint.Write(binary.BigEndian.AppendUint16(nil, peer.port))
	endpoint.Write(peer.endpoint[:])
	endpoint.Write(make([]byte, 8))
	w.generic(role, "wireguard", cmdSetDevice, nil,
		u32(deviceIfindex, uint32(w.index(role, name))),
		nl.NewRtAttr(devicePrivate, private),
		u16(devicePort, port),
		nested(devicePeers, nested(0,
			nl.NewRtAttr(peerPublic, peer.public),
			nl.NewRtAttr(peerEndpoint, endpoint.Bytes()),
			nested(peerAllowedIPs, nested(0,
				u16(allowedFamily, unix.AF_INET),
				nl.NewRtAttr(allowedAddr, peer.allowed[:]),
				nl.NewRtAttr(allowedMask, []byte{32}))))))
}
