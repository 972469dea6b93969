// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// drawProbe draws a packet that can exist: what the protocol does not have is 0.
func drawProbe(t *rapid.T) header.Probe {
	var p header.Probe
	p.Family = rapid.SampledFrom([]header.Family{header.V4, header.V6}).Draw(t, "family")
	proto := uint32(rapid.OneOf(
		rapid.SampledFrom([]uint8{header.ICMP, header.TCP, header.UDP, header.ICMPv6, header.SCTP, 47}), rapid.Byte(),
	).Draw(t, "proto"))
	p.Words[header.Proto] = proto
	address := func(first header.Word, name string) {
		size := 4
		if p.Family == header.V6 {
			size = 16
		}
		raw := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 0xff})), size, size).Draw(t, name)
		a, _ := netip.AddrFromSlice(raw)
		p.SetAddress(first, a)
	}
	address(header.Src0, "src")
	address(header.Dst0, "dst")
	word := func(w header.Word, name string) {
		p.Words[w] = rapid.Uint32Range(0, w.Max()).Draw(t, name)
	}
	word(header.TOS, "tos")
	word(header.Length, "length")
	word(header.TTL, "ttl")
	word(header.Origin, "origin")
	if header.HasPorts(proto) {
		word(header.Sport, "sport")
		word(header.Dport, "dport")
	}
	if header.HasType(p.Family, proto) {
		word(header.Sport, "type")
	}
	if proto == header.TCP {
		word(header.Flags, "flags")
	}
	ct := rapid.SampledFrom([]header.CT{header.Invalid, header.New, header.Established, header.Related, header.Untracked}).Draw(t, "ct")
	bits := uint32(0)
	if ct != header.Invalid && ct != header.Untracked {
		bits = rapid.Uint32Range(0, 7).Draw(t, "bits") << 3
	}
	p.Words[header.State] = header.StateOf(ct, bits)
	device := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z]{1,5}[0-9.@:-]{0,3}`))
	p.In, p.Out = device.Draw(t, "in"), device.Draw(t, "out")
	return p
}

// A packet that is printed, short or in full, is read back as it was.
func TestProbeIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawProbe(t)
		for _, text := range []string{want.String(), want.Full()} {
			got, err := header.ParseProbe(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", text, diff)
			}
		}
	})
}

// Any text is read or refused with a word, and what is read prints as something that is the same.
func TestAnyText(t *testing.T) {
	t.Parallel()
	word := rapid.OneOf(
		rapid.SampledFrom(strings.Fields(`icmp tcp udp icmpv6 47 256 > 192.0.2.1 192.0.2.1:80 2001:db8::1 [2001:db8::1]:80
			[2001:db8::1] [192.0.2.1] fe80::1%eth0 syn syn,ack none flags type 8/0 8 ttl 63 0x3f length 84 tos state NEW
			established,reply INVALID,reply NEW,x in br-red out from to`)),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(word, 0, 12).Draw(t, "words")
		if rapid.Bool().Draw(t, "begin well") {
			words = append([]string{"tcp", "192.0.2.1", ">", "192.0.2.2:80"}, words...)
		}
		text := strings.Join(words, " ")
		p, err := header.ParseProbe(text)
		var wrong *header.WordError
		if err != nil {
			if !errors.As(err, &wrong) || wrong.Index < 0 || wrong.Index > len(strings.Fields(text)) {
				t.Fatalf("%q: %#v does not point at a word", text, err)
			}
			return
		}
		again, err := header.ParseProbe(p.String())
		if err != nil || again != p {
			t.Fatalf("%q is read as %q, and that as %q: %v", text, p, again, err)
		}
	})
}

func TestWhatIsAssumed(t *testing.T) {
	t.Parallel()
	for text, full := range map[string]string{
		"icmp 192.168.0.10 > 203.0.113.8": "icmp 192.168.0.10 > 203.0.113.8 " +
			"type 8/0 ttl 63 length 84 tos 0x00 state NEW from",
		"icmp 2001:db8::1 > 2001:db8::2 to": "icmpv6 2001:db8::1 > 2001:db8::2 " +
			"type 128/0 ttl 63 length 104 tos 0x00 state NEW to",
		"tcp 192.168.0.10 > 203.0.113.8:22": "tcp 192.168.0.10:40000 > 203.0.113.8:22 syn " +
			"ttl 63 length 60 tos 0x00 state NEW from",
		"tcp [2001:db8::1] > [2001:db8::2]:22 state established,reply in ens3": "tcp [2001:db8::1]:40000 > [2001:db8::2]:22 ack " +
			"ttl 63 length 80 tos 0x00 state ESTABLISHED,reply in ens3 from",
		"udp 192.168.0.10:5 > 203.0.113.8:53 tos 0x10 ttl 3": "udp 192.168.0.10:5 > 203.0.113.8:53 " +
			"ttl 3 length 84 tos 0x10 state NEW from",
		"gre 192.168.0.10 > 203.0.113.8": "gre 192.168.0.10 > 203.0.113.8 ttl 63 length 84 tos 0x00 state NEW from",
		"tcp 192.168.0.10 > 203.0.113.8:22 SYN,ACK to": "tcp 192.168.0.10:40000 > 203.0.113.8:22 syn,ack " +
			"ttl 63 length 60 tos 0x00 state NEW to",
	} {
		p, err := header.ParseProbe(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := p.Full(); got != full {
			t.Errorf("%s is read as\n%s, want\n%s", text, got, full)
		}
	}
}

func TestWordsThatAreWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		index int
		says  string
	}{
		"":                                                 {0, "begins with its protocol"},
		"tpc 192.0.2.1 > 192.0.2.2:1":                      {0, "is not a protocol"},
		"256 192.0.2.1 > 192.0.2.2":                        {0, "up to 255"},
		"icmp 192.0.2 > 192.0.2.2":                         {1, "is not an address"},
		"icmp 192.0.2.1:7 > 192.0.2.2":                     {1, "has a port"},
		"icmp [192.0.2.1] > 192.0.2.2":                     {1, "has brackets"},
		"icmp fe80::1%eth0 > fe80::2":                      {1, "has a zone"},
		"icmpv6 192.0.2.1 > 192.0.2.2":                     {1, "write icmp"},
		"icmp 192.0.2.1":                                   {2, "is missing"},
		"icmp 192.0.2.1 192.0.2.2":                         {2, "must be >"},
		"icmp 192.0.2.1 > 2001:db8::1":                     {3, "not of the same version"},
		"icmp 192.0.2.1 > 192.0.2.2:7":                     {3, "has a port"},
		"tcp 192.0.2.1 > 192.0.2.2":                        {3, "write 192.0.2.2:22"},
		"tcp 2001:db8::1 > 2001:db8::2":                    {3, "write [2001:db8::2]:22"},
		"icmp 192.0.2.1 > 192.0.2.2 tll 3":                 {4, "is not known"},
		"icmp 192.0.2.1 > 192.0.2.2 ttl":                   {5, "the value of ttl"},
		"icmp 192.0.2.1 > 192.0.2.2 ttl 256":               {5, "from 0 to 255"},
		"icmp 192.0.2.1 > 192.0.2.2 syn":                   {4, "TCP's flags"},
		"udp 192.0.2.1 > 192.0.2.2:1 type 8":               {5, "is a type"},
		"icmp 192.0.2.1 > 192.0.2.2 type x":                {5, "is not a type"},
		"icmp 192.0.2.1 > 192.0.2.2 from to":               {5, "the second"},
		"icmp 192.0.2.1 > 192.0.2.2 state N":               {5, "NEW, ESTABLISHED"},
		"tcp 192.0.2.1 > 192.0.2.2:1 flags x":              {5, "fin,syn"},
		"icmp 192.0.2.1 > 192.0.2.2 state NEW,replied":     {5, "replied"},
		"icmp 192.0.2.1 > 192.0.2.2 state INVALID,reply":   {5, "no connection"},
		"tcp 192.0.2.1 > 192.0.2.2:1 syn flags ack":        {5, "the second"},
		"icmp 192.0.2.1 > 192.0.2.2 length 84 length 85":   {6, "the second"},
		"icmp 192.0.2.1 > 192.0.2.2 in br-red in br-black": {6, "the second"},
	} {
		_, err := header.ParseProbe(text)
		var wrong *header.WordError
		if !errors.As(err, &wrong) {
			t.Errorf("%q: got %v, want a *WordError", text, err)
			continue
		}
		if wrong.Index != want.index || !strings.Contains(wrong.Error(), want.says) {
			t.Errorf("%q: got %v (index %d), want index %d and %q", text, wrong, wrong.Index, want.index, want.says)
		}
	}
}

// The devices say the direction, the one by which the packet enters first.
func TestPlace(t *testing.T) {
	t.Parallel()
	own := func(name string) bool { return name == "br-red" || name == "br-red2" }
	for text, want := range map[string]uint32{
		"icmp 192.0.2.1 > 192.0.2.2 to in br-red":             header.From,
		"icmp 192.0.2.1 > 192.0.2.2 out br-red":               header.To,
		"icmp 192.0.2.1 > 192.0.2.2 in ens3 out br-red":       header.To,
		"icmp 192.0.2.1 > 192.0.2.2 to in br-red out br-red2": header.From,
		"icmp 192.0.2.1 > 192.0.2.2 to in ens3":               header.To,
		"icmp 192.0.2.1 > 192.0.2.2 out ens3":                 header.From,
	} {
		p, err := header.ParseProbe(text)
		if err != nil {
			t.Fatal(err)
		}
		if p.Place(own); p.Words[header.Origin] != want {
			t.Errorf("%s: origin %d, want %d", text, p.Words[header.Origin], want)
		}
	}
}
