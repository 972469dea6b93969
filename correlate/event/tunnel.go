// SPDX-License-Identifier: Apache-2.0

package event

// MaxTunnels is how many headers around an echo an [Event] has room for.
const MaxTunnels = 2

// TunnelType says what is around an echo.
type TunnelType uint8

// The types of tunnel. The numbers are the wire values that the BPF programs write.
const (
	NoTunnel TunnelType = iota
	// VXLAN is RFC 7348, also with the group policy extension. ID is the VNI.
	VXLAN
	// VXLANGPE is VXLAN with a protocol type (draft-ietf-nvo3-vxlan-gpe). ID is the VNI.
	VXLANGPE
	// Geneve is RFC 8926. ID is the VNI.
	Geneve
	// GRE is RFC 2784 and 2890 with IP inside. ID is the key, or 0.
	GRE
	// GRETAP is GRE with Ethernet inside (RFC 7637 where the key is a virtual subnet). ID is
	// the key, or 0.
	GRETAP
	// ERSPAN is a mirrored Ethernet frame in GRE (draft-foschiano-erspan). ID is the session.
	ERSPAN
	// IPIP is IPv4 in IPv4 (RFC 2003). ID is 0.
	IPIP
	// SIT is IPv6 in IPv4 (RFC 4213). ID is 0.
	SIT
	// IP6Tunnel is IPv4 or IPv6 in IPv6 (RFC 2473). ID is 0.
	IP6Tunnel
	// SRv6 is IPv4, IPv6 or Ethernet in IPv6 with a segment routing header (RFC 8986). ID is
	// the number of segments left.
	SRv6
	// MPLS is a label stack (RFC 3032). ID is the top label. It has no addresses.
	MPLS
	// PPPoE is RFC 2516. ID is the session. It has no addresses.
	PPPoE
	// FOU is IP or GRE directly in UDP (foo over UDP, RFC 8086). ID is 0.
	FOU
	// WireGuard is an encrypted packet of WireGuard. ID is the receiver's index.
	WireGuard
	// ESP is an encrypted packet of IPsec (RFC 4303). ID is the SPI.
	ESP
	// ICMPError is an error message that quotes the echo (RFC 792, 4443). ID is its type *
	// 256 + code.
	ICMPError

	tunnelEnd // one more than the last type
)

var tunnelNames = [tunnelEnd]string{
	NoTunnel: "none", VXLAN: "vxlan", VXLANGPE: "vxlan-gpe", Geneve: "geneve", GRE: "gre", GRETAP: "gretap",
	ERSPAN: "erspan", IPIP: "ipip", SIT: "sit", IP6Tunnel: "ip6tnl", SRv6: "srv6", MPLS: "mpls", PPPoE: "pppoe",
	FOU: "fou", WireGuard: "wireguard", ESP: "esp", ICMPError: "icmp-error",
}

// TunnelTypes returns all types but NoTunnel, in the order of their constants.
func TunnelTypes() []TunnelType {
	types := make([]TunnelType, 0, tunnelEnd-1)
	for t := VXLAN; t < tunnelEnd; t++ {
		types = append(types, t)
	}
	return types
}

// String returns the name that attributes and listings have for the type.
func (t TunnelType) String() string {
	if t < tunnelEnd {
		return tunnelNames[t]
	}
	return unknown
}

// Tunnel is a header around an echo.
type Tunnel struct {
	// Src and Dst are its addresses, zero if the type has none.
	Src, Dst Address
	// ID is what distinguishes the tunnel from others between the same addresses, as the
	// type says.
	ID   uint32
	Type TunnelType
}
