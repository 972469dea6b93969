// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

// settleTimeout is how long the kernel may take to get through what was sent.
const settleTimeout = 30 * time.Second

const probeText = "dwell twin probe"

// pairs returns who can send to whom: the same as conversations do.
func (s *Spec) pairs() (list [][2]party) {
	all := []party{guests[0], guests[1]}
	if s.Bridge {
		all = append(all, near[0])
	} else {
		all = append(all, guests[blueGuest], far[0])
	}
	for _, a := range all {
		for _, b := range all {
			if a != b {
				list = append(list, [2]party{a, b})
			}
		}
	}
	return list
}

// probe returns a packet that comes out last of all that was sent before. Its protocol is one that
// nothing understands, so it never takes the fast path.
func (s *Spec) probe(a, b party, number uint64) Step {
	var c conversation
	s.between(&c, a, b, 0, !s.Bridge && s.master(a.end) != s.master(b.end))
	p := &packet{from: &c.sides[0], IP: frame.IP{Src: c.sides[0].src, Dst: c.sides[0].dst, Proto: frame.Other, TTL: 64}}
	p.Payload = binary.BigEndian.AppendUint64([]byte(probeText), number)
	return s.steps(p, p.Bytes(), 0)[0]
}

// isProbe returns the number of a probe.
func isProbe(b []byte) (number uint64, ok bool) {
	p := frame.Parse(b)
	if inner, _ := p.Inner(); inner != nil {
		p = frame.Parse(inner)
	}
	if p.Proto != frame.Other || len(p.Transport) != len(probeText)+8 || string(p.Transport[:len(probeText)]) != probeText {
		return 0, false
	}
	return binary.BigEndian.Uint64(p.Transport[len(probeText):]), true
}

// settle returns the frames that have come out since it was last called. One CPU takes what is sent in
// order, so all has been dealt with when probes that were sent last come out; so the caller must stay on
// one CPU.
func (n *Network) settle() (out [Ends][]wire.Frame, err error) {
	waiting := [Ends]map[uint64]bool{}
	for i := range waiting {
		waiting[i] = map[uint64]bool{}
	}
	for _, pair := range n.Spec.pairs() {
		n.probes++
		waiting[pair[1].end][n.probes] = true
		s := n.Spec.probe(pair[0], pair[1], n.probes)
		if err := n.ends[s.End].Send(s.Frame); err != nil {
			return out, err
		}
	}
	for i, e := range n.ends {
		out[i], err = collect(e, waiting[i])
		if err != nil {
			return out, fmt.Errorf("out of %s: %w", ports[i].name, err)
		}
	}
	return out, nil
}

// collect reads frames until all probes are there and there is nothing more.
func collect(e wire.End, probes map[uint64]bool) (frames []wire.Frame, err error) {
	for {
		timeout := settleTimeout
		if len(probes) == 0 {
			timeout = 0
		}
		f, err := e.Read(timeout)
		if errors.Is(err, wire.ErrTimeout) && len(probes) == 0 {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%d probes are still to come: %w", len(probes), err)
		}
		if number, ok := isProbe(f.Bytes); ok {
			delete(probes, number)
			continue
		}
		if !noise(f.Bytes) {
			frames = append(frames, f)
		}
	}
	lost, err := e.Lost()
	if err == nil && lost > 0 {
		err = fmt.Errorf("%d frames were not read in time", lost)
	}
	return frames, err
}

// awake waits until frames pass: a device takes none before the kernel has noticed that both ends of its wire
// are up.
func (n *Network) awake() error {
	const often = 50 * time.Millisecond
	for deadline := time.Now().Add(settleTimeout); time.Now().Before(deadline); {
		awake := true
		for _, pair := range n.Spec.pairs() {
			s := n.Spec.probe(pair[0], pair[1], 0)
			if err := n.ends[s.End].Send(s.Frame); err != nil {
				return err
			}
			awake = awake && n.arrives(pair[1].end, often)
		}
		if awake {
			_, err := n.settle()
			return err
		}
	}
	return errors.New("no packet gets through")
}

func (n *Network) arrives(end int, timeout time.Duration) bool {
	for deadline := time.Now().Add(timeout); ; {
		f, err := n.ends[end].Read(time.Until(deadline))
		if err != nil {
			return false
		}
		if _, ok := isProbe(f.Bytes); ok {
			return true
		}
	}
}

// noise reports whether a frame is what the kernel says of its own accord, of neighbours, routers and
// multicast groups, or only so often in a second: that there is no route; or that it waited in vain: for a
// neighbour, which takes seconds, or for fragments, which may come half a minute later.
func noise(b []byte) bool {
	p := frame.Parse(b)
	if inner, _ := p.Inner(); inner != nil {
		p = frame.Parse(inner)
	}
	if p.IP == nil {
		return true
	}
	t := p.Transport
	switch {
	case p.Proto == 2, p.From == netip.IPv6Unspecified(), p.From.IsLinkLocalUnicast():
		return true
	case p.Proto == frame.ICMP && len(t) > 1:
		return t[0] == 3 && t[1] <= 1 && p.TOS&0xc0 == 0xc0 || t[0] == 11 && t[1] == 1
	case p.Proto == frame.ICMPv6 && len(t) > 1:
		return t[0] == 3 && t[1] == 1 || t[0] == 1 && t[1] == 3 || t[0] >= 130 && t[0] <= 137 || t[0] == 143
	case p.Proto == 0 && len(t) > 8: // MLD has a hop-by-hop header
		return t[0] == frame.ICMPv6 && (t[8] >= 130 && t[8] <= 132 || t[8] == 143)
	}
	return false
}
