// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
)

// echoKey is an echo's identity unless another echo looks the same.
type echoKey struct {
	payload [event.PayloadPrefix]byte
	seq     uint16
}

// flowKey distinguishes echoes if their content does not. The addresses are those of the
// request, from a to b, so that a reply has its request's key.
type flowKey struct {
	echo echoKey
	id   uint16
	a, b event.Address
}

// hasFlow reports whether the key has more than the echo's.
func (k *flowKey) hasFlow() bool {
	return k.id != 0 || k.a != (event.Address{}) || k.b != (event.Address{})
}

// lastSlots is a power of two, of about as many pings as are on their way at once in a flood.
const lastSlots = 32

// slot returns where in table.last a ping with the key is.
func (k *echoKey) slot() int { return slotOf(&k.payload, k.seq) }

func slotOf(payload *[event.PayloadPrefix]byte, seq uint16) int {
	return int(seq^uint16(payload[8])^uint16(payload[0])) % lastSlots
}

// of reports whether the key is that of ev.
func (k *echoKey) of(ev *event.Event) bool { return k.seq == ev.Seq && k.payload == ev.Payload }

func echoKeyOf(ev *event.Event) echoKey { return echoKey{payload: ev.Payload, seq: ev.Seq} }

func flowKeyOf(ev *event.Event) flowKey {
	k := flowKey{echo: echoKeyOf(ev), id: ev.ID, a: ev.Src, b: ev.Dst}
	if ev.Type == event.EchoReply || ev.Type == event.ReplyError {
		k.a, k.b = k.b, k.a
	}
	return k
}

// sighting is where a buffer was last seen: the event of a ping with that index.
type sighting struct {
	ping *ping
	at   int
}

func (s sighting) event() *event.Event { return &s.ping.events[s.at] }

// hintAge is how long, in nanoseconds, the address of a buffer is believed to mean
// the same packet.
const hintAge = 1e9

// table finds the open ping that an event belongs to.
//
// Most pings are found by content alone. The others are found by addresses and
// identifier; when NAT rewrites those, the packet is still in the buffer in which
// it was seen a moment ago, and the rewritten addresses become another key of the
// same ping, under which its reply will be found.
type table struct {
	echoes map[echoKey]*ping
	// flows has more than one ping for a key where tenants, or the networks behind
	// several NATs, have the same addresses.
	flows map[flowKey][]*ping
	skbs  map[uint64]sighting
	// last are pings of echoes that were found last, each at its key's slot.
	last [lastSlots]*ping
	// wall is Options.Wall.
	wall int64
}

func newTable(wall int64) table {
	return table{
		wall:   wall,
		echoes: make(map[echoKey]*ping),
		flows:  make(map[flowKey][]*ping),
		skbs:   make(map[uint64]sighting),
	}
}

// find returns the ping that ev belongs to, or nil if it begins a new one.
func (t *table) find(ev *event.Event) *ping {
	if p, tells := t.byContent(ev); tells {
		if p == nil {
			return nil
		}
		if !p.contested && !t.contests(ev, p) {
			return p
		}
	}
	return t.findFlow(ev)
}

// byContent returns the ping with the content of ev, or nil, and whether the content alone says
// which ping ev is of. A packet passes many hooks in a row, so most often it is one of the last.
func (t *table) byContent(ev *event.Event) (p *ping, tells bool) {
	slot := slotOf(&ev.Payload, ev.Seq)
	if p = t.last[slot]; p != nil && p.key.of(ev) {
		return p, true
	}
	if !t.tells(ev) {
		return nil, false
	}
	if p = t.echoes[echoKeyOf(ev)]; p != nil {
		t.last[slot] = p
	}
	return p, true
}

// tells reports whether the content alone says which ping ev is of: it says when that was
// sent.
func (t *table) tells(ev *event.Event) bool {
	_, dated := sentAt(ev, int64(ev.Time)+t.wall)
	return dated
}

// contests reports whether ev is of another ping with the content of p, and if so
// makes p known by its addresses, too.
func (t *table) contests(ev *event.Event, p *ping) bool {
	if !p.strange(ev) && !(ev.Type == event.EchoRequest && p.another(ev)) {
		return false
	}
	t.contest(p)
	return true
}

// contest makes p known by its addresses, because another ping has its content.
func (t *table) contest(p *ping) {
	if p.local || p.contested {
		p.contested = true
		return // its addresses are known
	}
	p.contested = true
	for i := range p.events {
		t.learn(p, i)
	}
}

// sameOrigin reports whether two events can be the making of one packet: a packet
// for a tunnel, a bridge or a stacked device is queued once for each device of one
// namespace, with the same addresses and identifier.
func sameOrigin(a, b *event.Event) bool {
	return a.NetNS == b.NetNS && a.ID == b.ID && flowKeyOf(a) == flowKeyOf(b)
}

// findFlow finds a ping by addresses, or else by the buffer. Of several with the same
// addresses it is one that has been in the event's namespace, or else the one in whose
// buffer the packet came there; the latest, if nothing distinguishes them.
func (t *table) findFlow(ev *event.Event) *ping {
	k, hinted := flowKeyOf(ev), t.hinted(ev)
	same := t.flows[k]
	if len(same) == 0 && ev.Type == event.EchoReply {
		same = t.flows[toAll(k)]
	}
	if len(same) == 0 || len(same) == 1 && hinted == same[0] {
		return hinted
	}
	known := slices.Contains(same, hinted)
	if known && hinted.visited(ev.NetNS) {
		return hinted
	}
	if ev.Type != event.EchoRequest { // it may come back where the request left
		if p := latest(same, func(p *ping) bool { return p.passed(ev) }); p != nil {
			return p
		}
	}
	if p := latest(same, func(p *ping) bool { return p.visited(ev.NetNS) }); p != nil {
		return p
	}
	if known || hinted != nil && hinted.visited(ev.NetNS) {
		return hinted // come to a new namespace, or rewritten to addresses that another has
	}
	return same[len(same)-1]
}

// latest returns the last of the pings for which ok holds, or nil.
func latest(pings []*ping, ok func(*ping) bool) *ping {
	for i := len(pings) - 1; i >= 0; i-- {
		if ok(pings[i]) {
			return pings[i]
		}
	}
	return nil
}

// hinted returns the ping that was in the event's buffer a moment ago, or nil.
func (t *table) hinted(ev *event.Event) *ping {
	s, ok := t.skbs[ev.SKB]
	if !ok || ev.SKB == 0 {
		return nil
	}
	seen := s.event()
	if packet.Made(ev) && !packet.Continues(seen, ev) {
		return nil
	}
	if seen.Type != ev.Type || !s.ping.key.of(ev) || ev.Time > seen.Time+hintAge {
		return nil
	}
	return s.ping
}

// insert makes a new ping known for ev, its first event. It is local if its content does
// not distinguish it, or if the content's key is taken.
func (t *table) insert(ev *event.Event, p *ping) {
	p.key = echoKeyOf(ev)
	p.local = !t.tells(ev) || t.echoes[p.key] != nil
	if !p.local {
		t.echoes[p.key] = p
	}
}

// learn notes what the event at index at says about where to find p, if content is not enough.
func (t *table) learn(p *ping, at int) {
	if !p.local && !p.contested {
		return
	}
	ev := &p.events[at]
	k := flowKeyOf(ev)
	t.alias(k, p)
	if ev.Type == event.EchoRequest && broadcast(ev.Dst, 3) { // four addresses or more
		t.alias(toAll(k), p)
	}
	t.sight(p, at)
}

// toAll returns the key of a request that all hosts may answer, each from an address of its own.
func toAll(k flowKey) flowKey {
	k.b = event.Address{}
	return k
}

// broadcast reports whether all hosts may answer what is sent to an address: it is multicast,
// or can be the last of a network in which all addresses differ in the bits of host.
func broadcast(a event.Address, host byte) bool {
	addr := a.Addr()
	return addr.IsMulticast() || addr.Is4() && a[15]&host == host
}

// alias makes p known by a key, too.
func (t *table) alias(k flowKey, p *ping) {
	if !slices.Contains(p.keys, k) {
		t.flows[k] = append(t.flows[k], p)
		p.keys = append(p.keys, k)
	}
}

// sight notes that p was in the buffer of the event at index at, unless the buffer has been seen
// later: events may come in late, or be learned when another packet has the buffer already.
func (t *table) sight(p *ping, at int) {
	ev := &p.events[at]
	if ev.SKB == 0 || packet.Returned(ev) {
		return // by the time of net_dev_xmit the buffer may be another's
	}
	if s, ok := t.skbs[ev.SKB]; ok && ev.Time < s.event().Time {
		return
	}
	t.skbs[ev.SKB] = sighting{p, at}
}

// remove forgets p.
func (t *table) remove(p *ping) {
	if t.echoes[p.key] == p {
		delete(t.echoes, p.key)
	}
	if slot := p.key.slot(); t.last[slot] == p {
		t.last[slot] = nil
	}
	for _, k := range p.keys {
		if t.flows[k] = slices.DeleteFunc(t.flows[k], func(q *ping) bool { return q == p }); len(t.flows[k]) == 0 {
			delete(t.flows, k)
		}
	}
	if len(p.keys) == 0 {
		return
	}
	for i := range p.events {
		if skb := p.events[i].SKB; t.skbs[skb].ping == p {
			delete(t.skbs, skb)
		}
	}
}
