// SPDX-License-Identifier: Apache-2.0

package liberal

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Connection is what connection tracking knows of a connection.
type Connection struct {
	// SeenReply is set if there were packets in both directions. Confirmed is if it is in the
	// table, Dying if it is being taken out.
	SeenReply, Confirmed, Dying bool
	// Liberal is set if the sequence numbers of both directions are not checked.
	Liberal bool
	// Timeout is when it ends if there is no packet any more.
	Timeout time.Duration
	// Helper is the name of what follows the connection, such as "ftp", or "".
	Helper string
}

// Bits of enum ip_conntrack_status.
const (
	statusSeenReply = 1 << 1
	statusConfirmed = 1 << 3
	statusDying     = 1 << 9
)

// Look returns what connection tracking knows of the connection of a tuple, which may be of either
// direction, in that zone. ErrGone if it knows none.
func (c *Conn) Look(t flow.Tuple, zone uint16) (*Connection, error) {
	request, err := encode(t, func(e *netlink.AttributeEncoder) { inZone(e, zone) })
	if err != nil {
		return nil, fmt.Errorf("writing a request to ctnetlink: %w", err)
	}
	answer, err := c.execute(messageGet, request)
	if err != nil {
		return nil, err
	}
	for _, m := range answer {
		if m.Header.Type == messageNew && len(m.Data) > headLen {
			return decode(m.Data[headLen:])
		}
	}
	return nil, ErrGone
}

// headLen is that of struct nfgenmsg.
const headLen = 4

func decode(attrs []byte) (*Connection, error) {
	d, err := netlink.NewAttributeDecoder(attrs)
	if err != nil {
		return nil, fmt.Errorf("reading what ctnetlink says: %w", err)
	}
	d.ByteOrder = binary.BigEndian
	found := &Connection{}
	for d.Next() {
		switch d.Type() {
		case ctaStatus:
			status := d.Uint32()
			found.SeenReply, found.Confirmed, found.Dying = status&statusSeenReply != 0, status&statusConfirmed != 0, status&statusDying != 0
		case ctaTimeout:
			found.Timeout = time.Duration(d.Uint32()) * time.Second
		case ctaHelp:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					if d.Type() == ctaHelpName {
						found.Helper = d.String()
					}
				}
				return nil
			})
		case ctaProtoInfo:
			d.Nested(found.protocol)
		}
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("reading what ctnetlink says: %w", err)
	}
	return found, nil
}

// protocol reads what is only there for TCP, of CTA_PROTOINFO.
func (c *Connection) protocol(d *netlink.AttributeDecoder) error {
	for d.Next() {
		if d.Type() != ctaProtoInfoTCP {
			continue
		}
		d.Nested(func(d *netlink.AttributeDecoder) error {
			liberal := 0
			for d.Next() {
				isFlags := d.Type() == ctaProtoInfoTCPFlagsOriginal || d.Type() == ctaProtoInfoTCPFlagsReply
				if flags := d.Bytes(); isFlags && len(flags) > 0 && flags[0]&flagBeLiberal != 0 {
					liberal++
				}
			}
			c.Liberal = liberal == 2
			return nil
		})
	}
	return nil
}
