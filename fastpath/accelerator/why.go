// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
)

// Levels of reasons, in the order in which they decide.
const (
	levelHost   = "host"
	levelTenant = "tenant"
	levelDevice = "device"
	levelPacket = "packet"
	levelFlow   = "flow"
)

// whyFlows is how many flows are listed in an answer.
const whyFlows = 16

// Why says why packets of a flow are slow. Errors in its text are *[PacketError].
func (m *Manager) Why(ctx context.Context, q WhyQuery) (*Why, error) {
	p, err := parsePattern(q.Packet)
	if err != nil {
		return nil, err
	}
	if q.Tenant == "" {
		return nil, fmt.Errorf("%w: a flow is a tenant's, so say whose", ErrNoTenant)
	}
	l, pairs, err := m.pairs(q.Query, p.concerns)
	if err != nil {
		return nil, err
	}
	w := &Why{Packet: p.text(), Reasons: m.generalReasons(q.Query), Flows: []FlowListing{}}
	w.Reasons = append(w.Reasons, p.reasons()...)
	for _, pair := range pairs {
		if len(w.Flows) == whyFlows {
			w.Left++
			continue
		}
		w.Flows = append(w.Flows, l.flow(pair))
	}
	if len(pairs) == 0 {
		w.Reasons = append(w.Reasons, m.unknown(l, p))
	}
	for _, pair := range pairs[:min(len(pairs), whyFlows)] {
		w.Reasons = append(w.Reasons, l.reasons(pair, p)...)
	}
	w.Reasons = distinct(w.Reasons)
	w.Fast = len(w.Reasons) == 0
	if q.Watch > 0 {
		if err := m.observe(ctx, q, l, p, pairs, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// distinct leaves out reasons that stand there already.
func distinct(reasons []WhyReason) []WhyReason {
	list := []WhyReason{}
	for _, r := range reasons {
		if !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list
}

// text returns the packet with what is any.
func (p *pattern) text() string {
	text := p.probe.String()
	if !p.isEcho() && p.sport < 0 && header.HasPorts(uint32(p.proto)) {
		text += " (any source port)"
	}
	return text
}

// generalReasons are those that do not depend on the flow.
func (m *Manager) generalReasons(q Query) []WhyReason {
	m.mu.Lock()
	defer m.mu.Unlock()
	mode := m.mode(q.Tenant)
	switch {
	case m.unsupported != "":
		return []WhyReason{{Reason: flow.Unattended.String(), Level: levelHost, Text: m.unsupported}}
	case mode == flow.Off:
		return []WhyReason{{Reason: flow.ModeOff.String(), Level: levelTenant, Text: sentence(flow.ModeOff.Text())}}
	}
	var list []WhyReason
	add := func(level string, r flow.Reason, text string) {
		list = append(list, WhyReason{Reason: r.String(), Level: level, Text: m.redact(q, sentence(text))})
	}
	if !m.attended() {
		text := flow.Unattended.Text()
		if p := m.problems["session"]; p != "" {
			text = p
		}
		add(levelHost, flow.Unattended, text)
	}
	if g := m.gate.state(); m.programs != nil && g.held {
		add(levelHost, flow.Held, flow.Held.Text()+": "+g.because)
	}
	if mode == flow.Shadow {
		add(levelTenant, flow.ModeShadow, flow.ModeShadow.Text())
	}
	if why := m.view.why(q.Tenant); why != "" {
		add(levelTenant, flow.Device, why)
	}
	if slices.Contains(m.without, q.Tenant) {
		add(levelTenant, flow.ModeOff, m.blocked(q.Tenant)[0])
	}
	if m.view.facts == nil {
		return list
	}
	for _, d := range m.view.facts.Devices {
		if d.Blocked != "" && (!d.Port || d.Tenant == q.Tenant) {
			text := d.Blocked
			if !d.Port && !q.Operator {
				text = flow.Device.Text()
			}
			add(levelDevice, flow.Device, d.Name+": "+text)
		}
	}
	return list
}

// reasons are those of the packet itself, as far as its text says something.
func (p *pattern) reasons() []WhyReason {
	var list []WhyReason
	add := func(r flow.Reason, text string) {
		list = append(list, WhyReason{Reason: r.String(), Level: levelPacket, Text: sentence(text)})
	}
	w := &p.probe.Words
	switch {
	case p.isEcho():
		if kind := w[header.Sport] >> 8; p.said["type"] && !isEchoType(p.probe.Family, kind) {
			add(flow.ICMPType, flow.ICMPType.Text())
		}
	case p.proto != header.TCP && p.proto != header.UDP:
		add(flow.Protocol, flow.Protocol.Text())
	}
	if p.said["ttl"] && w[header.TTL] == 0 {
		add(flow.TTL, flow.TTL.Text())
	}
	if p.proto == header.TCP && p.said["flags"] && (w[header.Flags]&(flagFIN|flagSYN|flagRST) != 0 || w[header.Flags]&flagACK == 0) {
		add(flow.TCPFlags, flow.TCPFlags.Text()+": each such packet takes the kernel's path, and others of the connection may be fast")
	}
	return list
}

func isEchoType(f header.Family, kind uint32) bool {
	if f == header.V6 {
		return kind == 128 || kind == 129
	}
	return kind == 8 || kind == 0
}

// unknown says why there is no entry for a flow.
func (m *Manager) unknown(l *lister, p *pattern) WhyReason {
	text := flow.Unknown.Text() + ". Either there was no packet of it for a minute, or nothing could be learnt from its packets: " +
		"its connection has seen no reply, a helper follows it, or the kernel changes more in it than is understood. " +
		"Ask again with a time to watch, while there are packets"
	if found := m.tracked(p); found != "" {
		text += ". " + found
	}
	return WhyReason{Reason: flow.Unknown.String(), Level: levelFlow, Text: l.redact(sentence(text))}
}

// tracked says what connection tracking knows of a flow without entry, if its ports are known.
func (m *Manager) tracked(p *pattern) string {
	if p.isEcho() || p.sport < 0 || p.dport < 0 {
		return ""
	}
	c, err := m.faces.liberal()
	if err != nil {
		return ""
	}
	defer c.Close()
	found, err := c.Look(flow.Tuple{Proto: p.proto, Src: p.src, Dst: p.dst, Sport: uint16(p.sport), Dport: uint16(p.dport)}, 0)
	switch {
	case err != nil:
		return "Connection tracking knows no such connection in its default zone"
	case found.Helper != "":
		return fmt.Sprintf("The helper %s follows its connection, so that it stays slow", found.Helper)
	case !found.SeenReply:
		return "Its connection has seen no reply yet"
	}
	return fmt.Sprintf("Its connection has seen a reply, and ends after %s without packet", found.Timeout)
}

// reasons are those of a flow's entries.
func (l *lister) reasons(p pair, of *pattern) []WhyReason {
	var list []WhyReason
	for _, f := range []*flow.Flow{p.forth, p.back} {
		if f == nil {
			continue
		}
		d := flow.ToTenant
		if l.from(f) {
			d = flow.FromTenant
		}
		state, r, detail := l.state(f)
		if state != StateFast && state != StateStopped && state != StateShadow {
			text := r.Text() + more(f, r, detail)
			list = append(list, WhyReason{Reason: r.String(), Level: levelFlow, Direction: d.String(), Text: l.redact(sentence(text))})
		}
		length := of.probe.Words[header.Length]
		if of.said["length"] && length > f.Longest && f.Longest > 0 {
			text := fmt.Sprintf("%s: that was %d bytes, and this one has %d. The next that the kernel forwards makes it more", flow.Length.Text(), f.Longest, length)
			list = append(list, WhyReason{Reason: flow.Length.String(), Level: levelPacket, Direction: d.String(), Text: sentence(text)})
		}
	}
	if p.back == nil {
		text := "only packets of one direction are known, and both or none are fast: nothing is learnt of a direction without packets"
		list = append(list, WhyReason{Reason: flow.Unconfirmed.String(), Level: levelFlow, Text: sentence(text)})
	}
	return list
}

// more says what there is beside the reason.
func more(f *flow.Flow, r flow.Reason, detail string) string {
	switch r {
	case flow.Unconfirmed:
		return fmt.Sprintf(": %d of %d packets of this direction have been alike", f.Agreed, agreed)
	case flow.Lease:
		return fmt.Sprintf(": it was over %s ago, and its next packet renews it", -f.Lease)
	case flow.Changed:
		return ": its next packet shows whether the kernel still does the same"
	case flow.Unapproved:
		return ". It is asked for with the next packet of the flow that the kernel forwards"
	}
	if detail != "" {
		return ": " + detail
	}
	return ""
}
