// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

// Observed is what came out of each device, a batch after the other.
type Observed struct {
	Batches [][Ends][]string
	// Bytes is the length of all.
	Bytes int
}

// Frames returns how many there were.
func (o *Observed) Frames() (n int) {
	for i := range o.Batches {
		for _, out := range o.Batches[i] {
			n += len(out)
		}
	}
	return n
}

func (o *Observed) add(out [Ends][]wire.Frame) {
	var batch [Ends][]string
	for i := range out {
		for _, f := range out[i] {
			o.Bytes += len(f.Bytes)
			batch[i] = append(batch[i], describe(f))
		}
	}
	o.Batches = append(o.Batches, batch)
}

// Compare returns the first difference between what the kernel did and what was done, or "". A frame may
// come out before one that was sent before it: those are counted.
func (o *Observed) Compare(got *Observed) (difference string, overtook int) {
	for b := range o.Batches {
		for end := range ports {
			want, have := o.Batches[b][end], got.Batches[b][end]
			if slices.Equal(want, have) {
				continue
			}
			lacks, has := missing(want, have), missing(have, want)
			if lacks != "" || has != "" {
				return fmt.Sprintf("batch %d, out of %s: %d frames, with the fast path %d\n  the kernel's: %s\n  fast:         %s",
					b, ports[end].name, len(want), len(have), shortened(lacks), shortened(has)), 0
			}
			overtook += inversions(want, have)
		}
	}
	return "", overtook
}

// missing returns the first element of a that b does not have as often.
func missing(a, b []string) string {
	n := map[string]int{}
	for _, s := range b {
		n[s]++
	}
	for _, s := range a {
		if n[s]--; n[s] < 0 {
			return s
		}
	}
	return ""
}

// inversions returns how many elements of b come right before one that a has earlier.
func inversions(a, b []string) (n int) {
	at := map[string]int{}
	for i, s := range a {
		at[s] = i
	}
	for i := 1; i < len(b); i++ {
		if at[b[i]] < at[b[i-1]] {
			n++
		}
	}
	return n
}

// describe returns the frame in words and in hexadecimal, without what the kernel draws.
func describe(f wire.Frame) string {
	p := frame.Parse(f.Bytes)
	undraw(p)
	text := p.String()
	if f.VLAN != 0 {
		text += fmt.Sprintf(" tag %x", f.VLAN)
	}
	return text + f.Offload.String() + " " + hex.EncodeToString(f.Bytes)
}

// undraw takes away what the kernel draws at random: the identification of the packets that it makes itself,
// and of those that it puts together and cuts again.
func undraw(p *frame.Parsed) {
	inner, _ := p.Inner()
	if inner != nil {
		undraw(frame.Parse(inner))
	}
	if p.Type == 0x0800 && p.IP != nil && (ownTunnel(p) || ownError(p)) {
		clear(p.IP[4:6])
		clear(p.IP[10:12]) // the checksum depends on it
	}
	if p.Proto == 44 && p.From.Is6() && len(p.Transport) >= 8 {
		clear(p.Transport[4:8])
	}
}

// ownTunnel reports whether the packet is of the hypervisor's tunnel, or a piece of it.
func ownTunnel(p *frame.Parsed) bool {
	return p.Proto == frame.UDP && p.From == netip.MustParseAddr(uplink4) && p.To == netip.MustParseAddr(router4)
}

// ownError reports whether the packet is an ICMP error that the kernel made: its class is that of routers,
// which no packet of the test has.
func ownError(p *frame.Parsed) bool {
	return p.Proto == frame.ICMP && len(p.Transport) > 0 && slices.Contains([]byte{3, 5, 11, 12}, p.Transport[0]) && p.TOS&0xc0 == 0xc0
}

// shortened leaves out the end of what is long.
func shortened(text string) string {
	const most = 600
	if len(text) > most {
		return text[:most] + " …"
	}
	return text
}
