// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// The simulated host has the paper's bridge topology:
//
//	guest        192.168.0.10 brovsns-ns
//	hypervisor   brovsns-br - ovs-br 192.168.0.1, ens3 192.168.122.208 (NAT)
//	outside      outside0 192.168.122.1, 203.0.113.8
const (
	guest uint32 = 4026532201 + iota
	hypervisor
	outside
	tenant
)

var nsNames = map[uint32]string{
	guest: "guest", hypervisor: "hypervisor", outside: "outside", tenant: "tenant",
}

var (
	guestAddr   = netip.MustParseAddr("192.168.0.10")
	natAddr     = netip.MustParseAddr("192.168.122.208")
	targetAddr  = netip.MustParseAddr("203.0.113.8")
	reasonNames = map[uint32]string{2: "NOT_SPECIFIED", 3: "NO_SOCKET", 12: "OTHERHOST", 8: "NETFILTER_DROP", 9: "TC_INGRESS"}
)

// simWall is the simulated host's time of day when its monotonic clock was 0, in
// nanoseconds since the Unix epoch.
const simWall = 1_700_000_000_000_000_000

// dev is a device of the simulated host.
type dev struct {
	ns    uint32
	index uint32
	name  string
	flags event.Flags
	// typ is the kernel's name of the type of device, lower what it is stacked on.
	typ   string
	lower trace.Place
}

func (d dev) place() trace.Place { return trace.Place{NetNS: d.ns, Index: d.index} }

var (
	brovsnsNS = dev{ns: guest, index: 2, name: "brovsns-ns"}
	brovsnsBR = dev{ns: hypervisor, index: 3, name: "brovsns-br", flags: event.BridgePort}
	ovsBR     = dev{ns: hypervisor, index: 4, name: "ovs-br", flags: event.Bridge}
	ens3      = dev{ns: hypervisor, index: 5, name: "ens3"}
	tenantBR  = dev{ns: hypervisor, index: 6, name: "tenant-br", flags: event.BridgePort}
	outside0  = dev{ns: outside, index: 2, name: "outside0"}
	tenantNS  = dev{ns: tenant, index: 2, name: "tenant-ns"}
	simDevs   = []dev{brovsnsNS, brovsnsBR, ovsBR, ens3, tenantBR, outside0, tenantNS}
)

// names is a correlate.Resolver for the simulated host.
type names struct{}

func (names) NetNS(inode uint32) *trace.NetNS {
	name := nsNames[inode]
	if name == "" {
		name = fmt.Sprintf("netns-%d", inode)
	}
	return &trace.NetNS{Inode: inode, Name: name, Hypervisor: inode == hypervisor}
}

func (n names) Device(netns, ifindex uint32) *trace.Device {
	d := &trace.Device{NetNS: n.NetNS(netns), Index: ifindex, Name: fmt.Sprintf("if%d", ifindex)}
	for _, s := range slices.Concat(simDevs, roadDevs, guestDevs) {
		if s.ns == netns && s.index == ifindex {
			d.Name, d.Type, d.Lower = s.name, s.typ, s.lower
			if s.flags.Has(event.Bridge) || s.flags.Has(event.BridgePort) {
				d.Bridge = "ovs-br"
			}
		}
	}
	return d
}

func (names) DropReason(code uint32) string { return reasonNames[code] }

// sim makes the events that packets cause on the simulated host.
type sim struct {
	now    uint64
	step   func() uint64
	events []event.Event
}

func newSim() *sim {
	return &sim{now: 1_000_000_000_000, step: func() uint64 { return 100 }}
}

// packet is an echo on its way.
type packet struct {
	sim      *sim
	skb      uint64
	typ      event.Type
	id, seq  uint16
	src, dst netip.Addr
	payload  [event.PayloadPrefix]byte
	length   uint16
	received bool
	outer    *event.Tunnel
	ttl      uint8
	// peer is the device at the other end of the one that the packet arrives on.
	peer *dev
	// socket is set while a program handles it with a packet socket.
	socket   bool
	fragment event.Flags
}

// request makes an echo request as ping sends it: with its clock in the payload.
func (s *sim) request(seq uint16) *packet {
	p := &packet{
		sim: s, skb: 0xffff888000000000 + s.now<<8, typ: event.EchoRequest,
		id: 77, seq: seq, src: guestAddr, dst: targetAddr, length: 56,
	}
	binary.LittleEndian.PutUint64(p.payload[:], 1_700_000_000+s.now/1e9)
	binary.LittleEndian.PutUint64(p.payload[8:], s.now/1e3%1e6)
	return p
}

// reply makes the reply to p in a new buffer.
func (p *packet) reply() *packet {
	r := *p
	r.skb, r.typ, r.received = p.skb+0x100, event.EchoReply, false
	r.src, r.dst = p.dst, p.src
	return &r
}

// copy makes a clone in a buffer of its own.
func (p *packet) copy() *packet {
	c := *p
	c.skb += 0x10
	return &c
}

// at records the packet at hooks of d, one after the other.
func (p *packet) at(d dev, hooks ...event.Hook) {
	for _, h := range hooks {
		p.event(d, h, 0)
	}
}

func (p *packet) event(d dev, h event.Hook, code uint32) {
	s := p.sim
	s.now += s.step()
	ev := event.Event{
		Time: s.now, SKB: p.skb, NetNS: d.ns, IfIndex: d.index, Hook: h, Code: code,
		Type: p.typ, Flags: d.flags, ID: p.id, Seq: p.seq, PayloadLen: p.length,
		TTL: p.ttl, Payload: p.payload, Src: event.AddressFrom(p.src), Dst: event.AddressFrom(p.dst),
	}
	if h == event.NetifReceiveSKB {
		p.received = true
	}
	if p.received {
		ev.Flags |= event.Received
	}
	if p.peer != nil && h.Inbound() {
		ev.Flags |= event.Paired
		ev.Peer = event.Place{NetNS: p.peer.ns, IfIndex: p.peer.index}
	}
	ev.Flags |= p.fragment
	if p.socket {
		ev.Flags |= event.PacketSocket
	}
	if p.outer != nil {
		ev.Depth, ev.Tunnels[0] = 1, *p.outer
	}
	s.events = append(s.events, ev)
}

// cross takes the packet over a veth pair; the driver's return comes after arrival.
func (p *packet) cross(from, to dev) {
	p.at(from, event.NetDevQueue, event.NetDevStartXmit)
	p.received, p.peer = false, &from
	p.at(to, event.NetifRx)
	p.at(from, event.NetDevXmit)
	p.at(to, event.NetifReceiveSKB)
	p.peer = nil
}

// toOutside takes a request from the guest to the outside.
func (p *packet) toOutside() {
	p.cross(brovsnsNS, brovsnsBR)
	p.at(ovsBR, event.NetifReceiveSKB)
	p.nat()
	p.cross(ens3, outside0)
}

// nat rewrites the source as the hypervisor does.
func (p *packet) nat() { p.src, p.id = natAddr, p.id+1000 }

// toGuest takes a reply from the outside to the bridge's port.
func (p *packet) toGuest(src netip.Addr, id uint16) {
	p.cross(outside0, ens3)
	p.dst, p.id = src, id
	p.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
	p.cross(brovsnsBR, brovsnsNS)
	p.at(ovsBR, event.NetDevXmit)
}

// nf records the packet at a netfilter hook.
func (p *packet) nf(d dev, h event.Hook, where event.NetfilterHook) { p.event(d, h, uint32(where)) }

// chains takes the packet through the chains of netfilter hooks.
func (p *packet) chains(d dev, hooks ...event.NetfilterHook) {
	for _, h := range hooks {
		p.nf(d, event.NetfilterFirst, h)
		p.nf(d, event.NetfilterLast, h)
	}
}

// output takes a packet made here to where it is queued.
func (p *packet) output(d dev) { p.chains(d, event.NetfilterLocalOut, event.NetfilterPostRouting) }

// deliver hands the packet to a process, as a raw socket does: the process gets a
// copy, and the original finds no socket.
func (p *packet) deliver(d dev) {
	c := p.copy()
	p.event(d, event.KfreeSKB, 3)
	c.at(d, event.SKBCopyDatagramIovec)
}

// ping sends one ping through the whole topology.
func (s *sim) ping(seq uint16) { s.request(seq).send() }

// send takes a request through the whole topology, and its reply back.
func (p *packet) send() {
	src, id := p.src, p.id
	p.toOutside()
	r := p.reply()
	r.toGuest(src, id)
	r.deliver(brovsnsNS)
}

// run correlates events and returns the traces in the order in which they were closed.
func run(events []event.Event, opts correlate.Options) ([]*trace.Trace, correlate.Stats) {
	var traces []*trace.Trace
	opts.Resolver = names{}
	opts.Wall = simWall
	if opts.Rules == nil {
		opts.Rules = rules{}
	}
	if opts.FastPath == nil {
		opts.FastPath = fastReasons{}
	}
	opts.Emit = func(t *trace.Trace) { traces = append(traces, t) }
	c := correlate.New(opts)
	var end uint64
	for i := range events {
		c.Add(&events[i])
		end = max(end, events[i].Time)
	}
	c.Advance(end + uint64(time.Minute))
	c.Flush()
	return traces, c.Stats()
}
