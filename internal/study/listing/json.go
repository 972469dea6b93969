// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Object is what stands in a line of [JSON]. Its names are stable: others are added,
// none is renamed or removed.
type Object struct {
	// Time is in nanoseconds of the kernel's monotonic clock.
	Time uint64 `json:"time_ns"`
	// Hook is the name of the tracepoint.
	Hook string `json:"hook"`
	// Type is "request" or "reply", or "error" for an ICMP error that quotes an echo, which
	// the rest is then about.
	Type string `json:"type"`
	// NetNS is the inode number of the network namespace.
	NetNS     uint32 `json:"netns"`
	NetNSName string `json:"netns_name"`
	// IfIndex is 0, and Interface missing, where the packet was seen away from any
	// device.
	IfIndex   uint32 `json:"ifindex"`
	Interface string `json:"interface,omitempty"`
	// Src and Dst are the echo's own addresses.
	Src string `json:"src"`
	Dst string `json:"dst"`
	ID  uint16 `json:"id"`
	Seq uint16 `json:"seq"`
	// PayloadSize is in bytes; Payload is the beginning of it, in hexadecimal.
	PayloadSize uint16 `json:"payload_size"`
	Payload     string `json:"payload"`
	// SKB is the address of the packet's buffer, in hexadecimal, or "0x0".
	SKB   string   `json:"skb"`
	CPU   uint16   `json:"cpu"`
	Flags []string `json:"flags"`
	// Code is the number of the drop reason, or the driver's return code.
	Code uint32 `json:"code"`
	// Reason is the name of the drop reason or of the netfilter hook, where the code is
	// one of these.
	Reason string `json:"reason,omitempty"`
	// Tunnels are the headers around the echo, from the outermost. There are Depth, of
	// which the innermost may be missing.
	Tunnels []Outer `json:"tunnels,omitempty"`
	Depth   uint8   `json:"depth,omitempty"`
	// TTL is the time to live or hop limit of the echo's own header, missing if not known.
	TTL uint8 `json:"ttl,omitempty"`
	// Peer is the other end of the pair that the packet arrived through, or missing.
	Peer *Place `json:"peer,omitempty"`
	// Action is what was done to the packet, where the hook says that something was.
	Action *Action `json:"action,omitempty"`
	// Rewrite is what the packet became, if the fast path sent it on.
	Rewrite *Rewrite `json:"rewrite,omitempty"`
}

// Place is a network device.
type Place struct {
	NetNS     uint32 `json:"netns"`
	NetNSName string `json:"netns_name"`
	IfIndex   uint32 `json:"ifindex"`
	Interface string `json:"interface"`
}

// Action is what a program did to a packet: [event.Action]. What is 0 or has no meaning is
// missing.
type Action struct {
	// Deed is "firewall", "redirect", "fallback" or "learn".
	Deed    string `json:"deed"`
	Verdict uint16 `json:"verdict,omitempty"`
	Reason  uint16 `json:"reason,omitempty"`
	Tenant  uint32 `json:"tenant,omitempty"`
	Rule    uint32 `json:"rule,omitempty"`
	To      uint32 `json:"to,omitempty"`
	// Place is "tc", "forward" or "iptables", and Nanoseconds how long it took.
	Place       string `json:"place,omitempty"`
	Nanoseconds uint32 `json:"duration_ns,omitempty"`
}

// Outer is a tunnel's header around an echo.
type Outer struct {
	// Src and Dst are missing if the type has no addresses.
	Src string `json:"src,omitempty"`
	Dst string `json:"dst,omitempty"`
	// Type and ID say which tunnel it is.
	Type string `json:"type"`
	ID   uint32 `json:"id"`
}

var flagNames = []struct {
	flag event.Flags
	name string
}{
	{event.IPv6, "ipv6"},
	{event.BridgePort, "bridge_port"},
	{event.Bridge, "bridge"},
	{event.Received, "received"},
	{event.Loopback, "loopback"},
	{event.Paired, "paired"},
	{event.PacketSocket, "packet_socket"},
	{event.FirstFragment, "first_fragment"},
	{event.LaterFragment, "later_fragment"},
	{event.OtherHost, "other_host"},
	{event.Encrypted, "encrypted"},
}

// ObjectOf describes an event with all that is known of it. hook is the row of its hook.
func ObjectOf(ev *event.Event, hook event.HookInfo, names correlate.Resolver) Object {
	o := Object{
		Time: ev.Time, Hook: hook.String(), Type: ev.Type.String(),
		NetNS: ev.NetNS, NetNSName: names.NetNS(ev.NetNS).Name, IfIndex: ev.IfIndex,
		Src: ev.Src.Addr().String(), Dst: ev.Dst.Addr().String(), ID: ev.ID, Seq: ev.Seq,
		PayloadSize: ev.PayloadLen, Payload: hex.EncodeToString(ev.Payload[:min(len(ev.Payload), int(ev.PayloadLen))]),
		Depth: ev.Depth, TTL: ev.TTL, SKB: "0x" + strconv.FormatUint(ev.SKB, 16), CPU: ev.CPU, Code: ev.Code, Flags: []string{},
	}
	if ev.IfIndex != 0 {
		o.Interface = names.Device(ev.NetNS, ev.IfIndex).Name
	}
	for _, f := range flagNames {
		if ev.Flags.Has(f.flag) {
			o.Flags = append(o.Flags, f.name)
		}
	}
	o.Reason = reasonOf(ev, hook, names)
	for _, t := range ev.Tunnels[:min(int(ev.Depth), event.MaxTunnels)] {
		o.Tunnels = append(o.Tunnels, outerOf(t))
	}
	if ev.Flags.Has(event.Paired) {
		o.Peer = placeOf(ev.Peer, names)
	}
	if hook.Acts {
		a := ev.Action
		o.Action = &Action{a.Deed.String(), a.Verdict, a.Reason, a.Tenant, a.Rule, a.To, "", a.Nanoseconds}
		if a.Place != event.NoPlace {
			o.Action.Place = a.Place.String()
		}
		o.Rewrite = rewriteOf(&ev.Rewrite, names)
	}
	return o
}

func placeOf(p event.Place, names correlate.Resolver) *Place {
	return &Place{
		NetNS: p.NetNS, NetNSName: names.NetNS(p.NetNS).Name, IfIndex: p.IfIndex,
		Interface: names.Device(p.NetNS, p.IfIndex).Name,
	}
}

// outerOf describes a tunnel. Some types have no addresses.
func outerOf(t event.Tunnel) Outer {
	o := Outer{Type: t.Type.String(), ID: t.ID}
	if t.Src != (event.Address{}) || t.Dst != (event.Address{}) {
		o.Src, o.Dst = t.Src.Addr().String(), t.Dst.Addr().String()
	}
	return o
}

// JSON returns the format of one JSON object a line; see [Object].
func JSON(hooks *event.Hooks) Format {
	return func(b []byte, ev *event.Event, names correlate.Resolver) []byte {
		line, err := json.Marshal(ObjectOf(ev, hooks.Info(ev.Hook), names))
		if err != nil {
			panic(err) // an Object has nothing in it that JSON cannot express
		}
		return append(append(b, line...), '\n')
	}
}
