// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
	"github.com/dwelltrace/dwell/internal/check/fastpath/wire"
)

// seen is a packet that came out of the hypervisor.
type seen struct {
	at     time.Time
	device string
	p      *frame.Parsed
	// length is that of its longest segment, from the IP header on.
	length int
	bytes  int
}

func see(device string, f *wire.Frame) *seen {
	s := &seen{at: f.At, device: device, p: frame.Parse(f.Bytes), bytes: len(f.Bytes)}
	s.length = s.p.Length
	if f.Offload.GSO != wire.GSONone && len(s.p.Transport) >= 20 {
		header := s.p.Length - len(s.p.Transport) + 8
		if s.p.Proto == frame.TCP {
			header += int(s.p.Transport[12]>>4)*4 - 8
		}
		s.length = header + int(f.Offload.Size)
	}
	return s
}

// ban is what must not be seen from a moment on, until it is lifted.
type ban struct {
	what     string
	from, to time.Time // to is zero as long as it holds
	// grace is how long after from it may still be seen.
	grace   time.Duration
	matches func(*seen) bool
}

// judge looks at what is seen.
type judge struct {
	*plan
	mu         sync.Mutex
	bans       []*ban
	violations []string
	// latest is the longest time after a ban that a packet was seen against it, within its grace.
	latest map[string]time.Duration
	count  int
	stalls func(from, to time.Time) time.Duration
}

// forbid makes something forbidden from now on, and returns what lifts it.
func (j *judge) forbid(what string, grace time.Duration, matches func(*seen) bool) (lift func()) {
	b := &ban{what: what, from: time.Now(), grace: grace, matches: matches}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.bans = append(j.bans, b)
	return func() {
		now := time.Now()
		j.mu.Lock()
		defer j.mu.Unlock()
		b.to = now
	}
}

// examine judges a packet when all that was forbidden at that time is known.
func (j *judge) examine(s *seen) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count++
	if wrong := j.impossible(s); wrong != "" {
		j.violate("%s at %s: %s", wrong, s.device, s.p)
	}
	for _, b := range j.bans {
		if s.at.Before(b.from) || !b.to.IsZero() && s.at.After(b.to) || !b.matches(s) {
			continue
		}
		late := s.at.Sub(b.from)
		allowed := b.grace + j.stalls(b.from, s.at)
		j.latest[b.what] = max(j.latest[b.what], late)
		if late > allowed {
			j.violate("%s: seen at %s %s later (%s are allowed): %s", b.what, s.device, late, allowed, s.p)
		}
	}
	j.forget(s.at)
}

func (j *judge) violate(format string, args ...any) {
	const most = 20
	if len(j.violations) < most {
		j.violations = append(j.violations, fmt.Sprintf(format, args...))
	}
}

// forget drops bans that were lifted long before.
func (j *judge) forget(now time.Time) {
	kept := j.bans[:0]
	for _, b := range j.bans {
		if b.to.IsZero() || now.Sub(b.to) < time.Minute {
			kept = append(kept, b)
		}
	}
	j.bans = kept
}

// impossible says what about the packet can never be right, or "".
func (j *judge) impossible(s *seen) string {
	p := s.p
	if p.IP == nil || !j.speaks(p.From) || p.To.IsMulticast() {
		return ""
	}
	if s.device == "o0" {
		switch {
		case j.hidden.Contains(p.From):
			return "a private source outside"
		case p.Src.String() != uplinkMAC:
			return "a source that is not the NIC"
		case p.Dst.String() != macA && p.Dst.String() != macB && p.Dst[0]&1 == 0:
			return "a destination that is not a router"
		}
	} else if want := map[string]string{"g0": mac0, "g0b": mac0, "g1": mac1, "g2": mac2}[s.device]; p.Dst.String() != want && p.Dst[0]&1 == 0 {
		// A bridge floods what it does not know the port of; the fast path never does.
		if p.Src.String() == redMAC || p.Src.String() == blueMAC {
			return ""
		}
		if !j.guests.Contains(p.From) {
			return "a destination that is not the guest"
		}
	}
	if p.Proto == frame.ICMP || p.Proto == frame.ICMPv6 || p.From.String() == j.uplink && p.Proto != frame.TCP && p.Proto != frame.UDP {
		return ""
	}
	want := uint8(sentTTL - 1)
	if s.device != "o0" && j.reds.Contains(p.From) && j.reds.Contains(p.To) {
		want = sentTTL
	}
	if p.TTL != want {
		return fmt.Sprintf("a TTL of %d, not %d", p.TTL, want)
	}
	return ""
}

// sentTTL is the time to live of what guests and servers send.
const sentTTL = 64
