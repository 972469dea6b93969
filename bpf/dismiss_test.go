// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// telling are bytes that decide what a header is, or what comes next.
var telling = []byte{
	0, 1, 4, 5, 6, 8, 17, 41, 43, 44, 47, 50, 51, 58, 60, 128, 129, 137, 143, // protocols, ICMP types
	0x45, 0x46, 0x60, 0x65, 0x0c, 0x58, 0x81, 0x86, 0x88, 0xa8, 0xdd, 0x47, // versions, flags, types
	VXLANPort >> 8, VXLANPort & 0xff, GenevePort >> 8, GenevePort & 0xff,
}

// telltale changes a few bytes, most of them in headers, and most to what tells something.
func telltale(r *rand.Rand, packet []byte) {
	for range 1 + r.IntN(4) {
		at := r.IntN(len(packet))
		if r.IntN(4) > 0 {
			at = r.IntN(min(len(packet), 64))
		}
		packet[at] = telling[r.IntN(len(telling))]
		if r.IntN(8) == 0 {
			packet[at] = byte(r.Uint32())
		}
	}
}

// Whatever a packet is, it is not dismissed before it is parsed if the parser finds an echo in it: one
// that was crafted, changed in places that tell what it is, cut off, and called another type than it is.
func TestForeignIsNoEcho(t *testing.T) {
	p := newParser(t)
	types := []layers.EthernetType{
		layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ, 0x9100,
		layers.EthernetTypeMPLSUnicast, layers.EthernetTypePPPoESession, layers.EthernetTypeARP, 0x6558,
	}
	found, dismissed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := echo(t)
		c.encapsulate(3)
		kind := c.ethertype()
		switch rapid.SampledFrom([]string{"bare", "bare", "link", "frame"}).Draw(t, "seen as") {
		case "link":
			kind = c.link()
		case "frame":
			c.frame()
			kind = layers.EthernetTypeTransparentEthernetBridging
		}
		if len(c.bytes) > 900 {
			t.Skip("too long")
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "changes"), 0))
		for range 50 {
			changed := append([]byte(nil), c.bytes...)
			if r.IntN(8) > 0 {
				telltale(r, changed)
			}
			linear, as := len(changed), kind
			if r.IntN(4) == 0 {
				linear = r.IntN(len(changed) + 1)
			}
			if r.IntN(8) == 0 {
				as = types[r.IntN(len(types))]
			}
			trial := p.try(t, as, changed, linear)
			found += int(trial.Found)
			dismissed += one(trial.dismissed())
		}
	})
	t.Logf("%d echoes found, %d packets dismissed", found, dismissed)
	if found == 0 || dismissed == 0 {
		t.Error("one of them never happened, so nothing was compared")
	}
}

// Once an echo was encrypted, what may be that is not dismissed: WireGuard, ESP, and ESP in UDP, bare.
func TestEncryptedIsNotForeign(t *testing.T) {
	p := newParser(t)
	if err := p.seen.Set(uint8(1)); err != nil {
		t.Fatal(err)
	}
	var found, dismissed int
	rapid.Check(t, func(t *rapid.T) {
		c := &crafted{t: t, bytes: rapid.SliceOfN(rapid.Byte(), 28, 60).Draw(t, "payload")}
		proto := layers.IPProtocolESP
		begin := c.bytes
		if rapid.Bool().Draw(t, "in UDP") {
			proto = layers.IPProtocolUDP
			binary.LittleEndian.PutUint32(begin, rapid.SampledFrom([]uint32{0, 1, 4, 4 << 8, 8}).Draw(t, "WireGuard's type"))
			port := rapid.SampledFrom([]layers.UDPPort{4500, 51820, VXLANPort, GenevePort, guePort, 53}).Draw(t, "port")
			c.wrap(&layers.UDP{SrcPort: 51820, DstPort: port})
		}
		// Whichever of them is looked up.
		for _, at := range []int{0, 4} {
			must(t, p.encrypted.Put(begin[at:at+16], kernelHiddenEcho{Id: 7, Type: uint8(event.EchoRequest)}))
			defer func() {
				if err := p.encrypted.Delete(begin[at : at+16]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
					t.Error(err)
				}
			}()
		}
		c.ip(proto, rapid.Bool().Draw(t, "options"))
		trial := p.try(t, c.ethertype(), c.bytes, rapid.SampledFrom([]int{len(c.bytes), len(c.bytes) - 1, 40}).Draw(t, "linear"))
		found += int(trial.Found)
		dismissed += one(trial.dismissed())
	})
	t.Logf("%d found, %d dismissed", found, dismissed)
	if found == 0 || dismissed == 0 && loadsCheaply(t) {
		t.Error("one of them never happened, so nothing was compared")
	}
}

// Echoes that look like something else to who does not look at what is before it.
func TestForeignTraps(t *testing.T) {
	p := newParser(t)
	pad := make([]byte, 64)
	// Where the next header is named in IPv6, the offset of a fragment is in IPv4.
	fragment := slices.Concat([]byte{0x46, 0, 0, 60, 0, 1, 6, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 1, 1, 1}, pad)
	// Without an Ethernet header, which VXLAN-GPE need not have, addresses and checksum are where that
	// would name IPv4, and IPv4 would name TCP.
	gpe := slices.Concat([]byte{0x0c, 0, 0, 1, 0, 0, 7, 0},
		[]byte{0x45, 0, 0, 60, 0, 1, 0, 0, 64, 1, 0, 0, 8, 0, 0x45, 1, 192, 0, 2, 2}, []byte{8, 0, 0, 6, 0, 1, 0, 1}, pad)
	around := func(proto layers.IPProtocol, packet []byte, headers ...gopacket.SerializableLayer) []byte {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}}
		buf := gopacket.NewSerializeBuffer()
		headers = append(append([]gopacket.SerializableLayer{ip}, headers...), gopacket.Payload(packet))
		must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, headers...))
		return buf.Bytes()
	}
	for name, packet := range map[string][]byte{
		"a later fragment with options":             fragment,
		"a later fragment with options in a tunnel": around(layers.IPProtocolIPv4, fragment),
		"IPv4 in VXLAN-GPE":                         around(layers.IPProtocolUDP, gpe, &layers.UDP{DstPort: VXLANGPEPort}),
	} {
		if trial := p.try(t, layers.EthernetTypeIPv4, packet, len(packet)); trial.Found == 0 {
			t.Errorf("%s: no echo is found in % x", name, packet)
		}
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loadsCheaply reports whether the kernel has what first_look needs.
func loadsCheaply(t *testing.T) bool {
	t.Helper()
	kernel, err := kernelBTF(kernelTypes)
	if err != nil {
		t.Fatal(err)
	}
	var fn *btf.Func
	err = kernel.TypeByName("bpf_rdonly_cast", &fn)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// What nearly all packets are is dismissed, so that it does not cost more than that: bare, behind a
// tag, in a frame, in one tunnel; and encrypted, unless an echo was.
func TestForeignIsDismissed(t *testing.T) {
	p := newParser(t)
	if !loadsCheaply(t) {
		p.checkNotDismissed(t)
		return
	}
	rapid.Check(t, func(t *rapid.T) {
		c := &crafted{t: t, bytes: rapid.SliceOfN(rapid.Byte(), 20, 60).Draw(t, "payload")}
		c.bystander()
		kind := c.ethertype()
		switch rapid.SampledFrom([]string{"bare", "tag", "frame", "vxlan", "geneve", "gre", "gretap", "ip", "esp"}).Draw(t, "inside") {
		case "tag":
			c.wrap(&layers.Dot1Q{VLANIdentifier: 5, Type: kind})
			kind = layers.EthernetTypeDot1Q
		case "frame":
			c.wrap(&layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: kind})
			kind = layers.EthernetTypeTransparentEthernetBridging
		case "esp":
			c.ip(layers.IPProtocolESP, false)
			kind = c.ethertype()
		case "ip":
			proto := layers.IPProtocolIPv4
			if c.v6 {
				proto = layers.IPProtocolIPv6
			}
			c.ip(proto, false)
			kind = c.ethertype()
		case "gre":
			c.wrap(&layers.GRE{Protocol: kind, KeyPresent: rapid.Bool().Draw(t, "key"), Key: 7, SeqPresent: rapid.Bool().Draw(t, "seq")})
			c.ip(layers.IPProtocolGRE, false)
			kind = c.ethertype()
		case "gretap":
			c.tagged(&layers.GRE{Protocol: 0x6558})
			c.ip(layers.IPProtocolGRE, false)
			kind = c.ethertype()
		case "vxlan":
			c.tagged(&layers.UDP{SrcPort: 50000, DstPort: VXLANPort}, &layers.VXLAN{ValidIDFlag: true, VNI: 7})
			c.ip(layers.IPProtocolUDP, false)
			kind = c.ethertype()
		case "geneve":
			options := rapid.IntRange(0, 3).Draw(t, "options")
			c.tagged(&layers.UDP{SrcPort: 50000, DstPort: GenevePort}, gopacket.Payload(append([]byte{byte(options), 0, 0x65, 0x58, 0, 0, 7, 0}, make([]byte, 4*options)...)))
			c.ip(layers.IPProtocolUDP, false)
			kind = c.ethertype()
		}
		if trial := p.try(t, kind, c.bytes, len(c.bytes)); !trial.dismissed() {
			t.Fatalf("type %#x is not dismissed: % x", kind, c.bytes)
		}
	})
	for _, kind := range []layers.EthernetType{layers.EthernetTypeARP, layers.EthernetTypeLinkLayerDiscovery} {
		if trial := p.try(t, kind, make([]byte, 60), 60); !trial.dismissed() {
			t.Errorf("type %#x is not dismissed", kind)
		}
	}
}

// bystander makes a packet of TCP, or of UDP to a port without a tunnel, of what is there.
func (c *crafted) bystander() {
	if rapid.Bool().Draw(c.t, "tcp") {
		c.ip(layers.IPProtocolTCP, false)
		return
	}
	c.wrap(&layers.UDP{SrcPort: VXLANPort, DstPort: 53})
	c.ip(layers.IPProtocolUDP, false)
}

// tagged puts an Ethernet header around, perhaps with a tag, and others around that.
func (c *crafted) tagged(around ...gopacket.SerializableLayer) {
	kind := c.ethertype()
	if rapid.Bool().Draw(c.t, "tagged") {
		c.wrap(&layers.Dot1Q{VLANIdentifier: 5, Type: kind})
		kind = layers.EthernetTypeDot1Q
	}
	c.wrap(append(around, &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: kind})...)
}

// checkNotDismissed says that on a kernel where loads are not cheap, IP is left to the parser.
func (p *parser) checkNotDismissed(t *testing.T) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		c := &crafted{t: t, bytes: make([]byte, 20)}
		c.bystander()
		if trial := p.try(t, c.ethertype(), c.bytes, len(c.bytes)); trial.dismissed() {
			t.Fatalf("dismissed: % x", c.bytes)
		}
	})
}
