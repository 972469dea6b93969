// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// parser runs the programs' parser on bytes.
type parser struct {
	program *ebpf.Program
	// encrypted has the echoes that are found by what is encrypted, once seen is set.
	encrypted *ebpf.Map
	seen      *ebpf.Variable
}

func newParser(t *testing.T) *parser {
	t.Helper()
	privileged(t)
	spec, err := Options{RingBytes: 1}.spec()
	if err != nil {
		t.Fatal(err)
	}
	ports, err := Options{}.tunnelPorts(map[uint16]PortKind{fouIPPort: PortFOUIP, fouGREPort: PortFOUGRE, guePort: PortGUE})
	if err != nil {
		t.Fatal(err)
	}
	spec.Maps[kernelMapTunnelPorts].Contents = []ebpf.MapKV{{Key: uint32(0), Value: inNetworkOrder(ports)}}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return name != "parse_trial" })
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: kernelTypes})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(loaded.Close)
	return &parser{loaded.Programs["parse_trial"], loaded.Maps[kernelMapEncrypted], loaded.Variables[kernelVarEncryptionSeen]}
}

// try runs the parser on a packet of an Ethernet type, of which so many bytes are linear. What has
// an echo must not have been dismissed at the first look, and what was found there must be the same.
func (p *parser) try(t rapid.TB, kind layers.EthernetType, packet []byte, linear int) kernelTrial {
	t.Helper()
	trial := kernelTrial{Len: uint32(linear), Proto: bits.ReverseBytes16(uint16(kind))}
	// What is behind the packet would be a payload, if it was read.
	for i := copy(trial.Packet[:], packet); i < len(trial.Packet); i++ {
		trial.Packet[i] = 0xee
	}
	// As bytes, because the library leaves out what Go has no name for, such as the rest of a
	// union.
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&trial)), unsafe.Sizeof(trial))
	if _, err := p.program.Run(&ebpf.RunOptions{Context: raw, ContextOut: raw}); err != nil {
		t.Fatalf("run the parser: %v", err)
	}
	if trial.dismissed() && trial.Found != 0 {
		t.Fatalf("an echo is dismissed before it is parsed: type %#x, % x", kind, packet[:min(linear, len(packet))])
	}
	size := unsafe.Sizeof(trial.Record)
	if trial.plain() && (trial.Found == 0 || !bytes.Equal(raw[:size], raw[size:2*size])) {
		t.Fatalf("the first look finds %+v, the parser (found %d) %+v: type %#x, % x",
			trial.Plain, trial.Found, trial.Record, kind, packet[:min(linear, len(packet))])
	}
	return trial
}

func (k *kernelTrial) dismissed() bool { return k.Look == kernelGlanceNOT_FOR_US }

func (k *kernelTrial) plain() bool { return k.Look == kernelGlanceBARE }

// parse returns what the parser makes of a packet; see try.
func (p *parser) parse(t rapid.TB, kind layers.EthernetType, packet []byte, linear int) (event.Event, bool) {
	t.Helper()
	trial := p.try(t, kind, packet, linear)
	if trial.Found == 0 {
		return event.Event{}, false
	}
	trial.Record.Head.Hook = uint8(event.NetifRx)
	raw := packed(&trial.Record)
	if event.Flags(trial.Record.Head.Flags).Has(event.LaterFragment) {
		raw[unsafe.Offsetof(kernelRecordHead{}.Type)] = uint8(event.EchoRequest)
	}
	if !valid(raw, event.All()) {
		t.Fatalf("not a valid record: %+v", trial.Record)
	}
	var e event.Event
	decode(raw, &e)
	e.Hook = 0
	return e, true
}

// packed is what write_record does.
func packed(r *kernelRecord) []byte {
	whole := unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r))
	raw := bytes.Clone(whole[:headSize])
	size := unsafe.Sizeof(kernelAddresses4{})
	if kernelRecordPart(r.Head.Parts)&kernelRecordPartPART_ADDRESSES6 != 0 {
		size = unsafe.Sizeof(kernelAddresses6{})
	}
	raw = append(raw, whole[headSize:headSize+int(size)]...)
	tunnels := unsafe.Slice((*byte)(unsafe.Pointer(&r.Tunnels)), unsafe.Sizeof(r.Tunnels))
	raw = append(raw, tunnels[:min(int(r.Head.Depth), event.MaxTunnels)*int(unsafe.Sizeof(kernelTunnel{}))]...)
	raw[unsafe.Offsetof(kernelRecordHead{}.Words)] = uint8(len(raw) / 8)
	return raw
}

// Whatever is around an echo, it is found with all that is said of it: in the packet as the
// network stack has it, and in a frame; with padding behind it; and if any of its headers is
// cut off, there is nothing.
func TestEncapsulations(t *testing.T) {
	p := newParser(t)
	rapid.Check(t, func(t *rapid.T) {
		c := echo(t)
		if rapid.Bool().Draw(t, "an error") {
			c.encapsulate(1)
			c.fail()
			c.encapsulate(1)
		} else {
			c.encapsulate(3)
		}
		kind := c.ethertype()
		if rapid.Bool().Draw(t, "in a frame") {
			kind = c.link()
		}
		if len(c.bytes) > 900 {
			t.Skip("too long")
		}
		got, found := p.parse(t, kind, c.bytes, len(c.bytes))
		c.check(got, found, "whole")
		got, found = p.parse(t, kind, c.bytes, len(c.bytes)+rapid.IntRange(1, 60).Draw(t, "padding"))
		c.check(got, found, "padded")
		if !c.quoted {
			p.checkCuts(c, kind)
		}
	})
}

// checkCuts compares what is found if the packet's linear part ends after any byte.
func (p *parser) checkCuts(c *crafted, kind layers.EthernetType) {
	c.t.Helper()
	headers := len(c.bytes) - c.padding - int(c.want.PayloadLen)
	whole := c.want.Payload
	for cut := range len(c.bytes) {
		got, found := p.parse(c.t, kind, c.bytes, cut)
		if cut < headers {
			if found {
				c.t.Fatalf("found in %d of %d bytes: %+v", cut, headers, got)
			}
			continue
		}
		c.want.Payload = whole
		clear(c.want.Payload[min(cut-headers, len(whole)):])
		c.check(got, found, "cut in the payload")
	}
}

// A packet that carries no echo is nothing, whatever is around it: a protocol or an ICMP type
// that is not an echo's.
func TestEncapsulatedOther(t *testing.T) {
	p := newParser(t)
	rapid.Check(t, func(t *rapid.T) {
		c := &crafted{t: t, bytes: rapid.SliceOfN(rapid.Byte(), 8, 60).Draw(t, "payload")}
		switch rapid.SampledFrom([]string{"tcp", "udp", "icmp", "icmp6"}).Draw(t, "inside") {
		case "tcp":
			c.ip(layers.IPProtocolTCP, true)
		case "udp":
			c.wrap(&layers.UDP{SrcPort: VXLANPort, DstPort: 53})
			c.ip(layers.IPProtocolUDP, true)
		case "icmp": // source quench, redirect, router solicitation, timestamp
			c.bytes[0] = rapid.SampledFrom([]byte{4, 5, 10, 13}).Draw(t, "type")
			c.ip(layers.IPProtocolICMPv4, true)
		case "icmp6": // listeners, neighbours
			c.bytes[0] = rapid.ByteRange(130, 255).Draw(t, "type")
			c.ip(layers.IPProtocolICMPv6, true)
		}
		c.encapsulate(3)
		if len(c.bytes) > 900 {
			t.Skip("too long")
		}
		if got, found := p.parse(t, c.ethertype(), c.bytes, len(c.bytes)); found {
			t.Fatalf("found %+v in % x", got, c.bytes)
		}
	})
}

// Headers that are not what they should be are not entered.
func TestNotEntered(t *testing.T) {
	p := newParser(t)
	rapid.Check(t, func(t *rapid.T) {
		c := echo(t)
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(invalid))).Draw(t, "invalid")
		kind := invalid[name](c)
		if got, found := p.parse(t, kind, c.bytes, len(c.bytes)); found {
			t.Fatalf("%s: found %+v in % x", name, got, c.bytes)
		}
	})
}

// Whatever the bytes are, what is said of an echo stands in them.
func TestMutatedPackets(t *testing.T) {
	p := newParser(t)
	rapid.Check(t, func(t *rapid.T) {
		c := echo(t)
		c.encapsulate(3)
		if len(c.bytes) > 900 {
			t.Skip("too long")
		}
		kind := c.ethertype()
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			c.bytes[rapid.IntRange(0, len(c.bytes)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "to")
		}
		linear := rapid.IntRange(0, len(c.bytes)).Draw(t, "linear")
		got, found := p.parse(t, kind, c.bytes, linear)
		if !found || got.Flags.Has(event.LaterFragment) {
			return
		}
		var message []byte
		message = binary.BigEndian.AppendUint16(message, got.ID)
		message = binary.BigEndian.AppendUint16(message, got.Seq)
		message = append(message, bytes.TrimRight(got.Payload[:], "\x00")...)
		if !bytes.Contains(c.bytes[:linear], message) {
			t.Fatalf("%+v is not in % x", got, c.bytes[:linear])
		}
	})
}
