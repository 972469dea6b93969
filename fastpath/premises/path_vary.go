// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// payload reads that bytes of the packet are loaded, or written.
func (f *flowReader) payload(at attributes) {
	if _, sets := at[unix.NFTA_PAYLOAD_SREG]; sets {
		f.does("changes packets")
		return
	}
	length := number(at[unix.NFTA_PAYLOAD_LEN])
	f.write(at[unix.NFTA_PAYLOAD_DREG], operand{value: value{
		from: fromPayload, base: number(at[unix.NFTA_PAYLOAD_BASE]), offset: number(at[unix.NFTA_PAYLOAD_OFFSET]), key: length,
	}}, length)
}

// variesAtAll says what of a register may be another for each packet of a flow, or "".
func (f *flowReader) variesAtAll(o operand) string {
	if o.varies != "" || o.from != fromPayload {
		return o.varies
	}
	for i := range o.key {
		bits, what := f.varyingBits(o.base, o.offset+i)
		if o.masked {
			if int(i) >= len(o.mask) || len(o.mask) != int(o.key) {
				return "what is not known"
			}
			bits &= o.mask[i]
		}
		if bits != 0 {
			return what
		}
	}
	return ""
}

// varyingBits returns which bits of a byte may be others for each packet of a flow, and what they are.
func (f *flowReader) varyingBits(base, at uint32) (byte, string) {
	switch base {
	case unix.NFT_PAYLOAD_LL_HEADER:
		return 0, ""
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		if f.family == header.V4 {
			return varying4(at)
		}
		return varying6(at)
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		return f.varyingTransport(at)
	}
	return 0xff, "what the packet contains"
}

// varying4 is about the header of IPv4.
func varying4(at uint32) (byte, string) {
	switch {
	case at == 1:
		return 0x03, "ECN"
	case at == 2 || at == 3:
		return 0xff, "the packet's length"
	case at == 4 || at == 5:
		return 0xff, "the packet's ID"
	case at == 6:
		return 0xc0, "whether the packet may be fragmented"
	case at == 8:
		return 0xff, "the TTL"
	case at == 10 || at == 11:
		return 0xff, "the packet's checksum"
	case at >= 20:
		return 0xff, "what the packet contains"
	}
	return 0, ""
}

// varying6 is about the header of IPv6.
func varying6(at uint32) (byte, string) {
	switch {
	case at == 1:
		return 0x3f, "ECN or the flow label"
	case at == 2 || at == 3:
		return 0xff, "the flow label"
	case at == 4 || at == 5:
		return 0xff, "the packet's length"
	case at == 7:
		return 0xff, "the hop limit"
	case at >= 40:
		return 0xff, "what the packet contains"
	}
	return 0, ""
}

// varyingTransport is about the headers of TCP, UDP and echoes.
func (f *flowReader) varyingTransport(at uint32) (byte, string) {
	switch {
	case at < 2, // ports, or type and code
		at < 4 && f.pinned(header.TCP, header.UDP),
		(at == 4 || at == 5) && f.pinned(header.ICMP, header.ICMPv6): // the identifier
		return 0, ""
	case at == 13 && f.pinned(header.TCP):
		return 0xc8, "TCP flags" // CWR, ECE, PSH
	}
	return 0xff, "what the packet contains"
}
