// SPDX-License-Identifier: Apache-2.0

package event

// NetfilterHook is where in the network stack a chain is called: the kernel's enum
// nf_inet_hooks (include/uapi/linux/netfilter.h), the same for IPv4 and IPv6. It is
// the Event.Code of the hooks whose row has CodeNetfilterHook.
type NetfilterHook uint32

// The netfilter hooks, in the order of the kernel's enum.
const (
	// NetfilterPreRouting: after arrival, before the first routing decision.
	NetfilterPreRouting NetfilterHook = iota
	// NetfilterLocalIn: routed to this namespace.
	NetfilterLocalIn
	// NetfilterForward: routed through this namespace.
	NetfilterForward
	// NetfilterLocalOut: made in this namespace, and routed.
	NetfilterLocalOut
	// NetfilterPostRouting: before it is handed to the device on its way out.
	NetfilterPostRouting
)

// netfilterHooks has a row for each: the name, and the place of its first program on a
// packet's way; the last program's place is the one after.
var netfilterHooks = [...]struct {
	name  string
	place uint8
}{
	NetfilterPreRouting:  {"prerouting", placePreRouting},
	NetfilterLocalIn:     {"input", placeLocalIn},
	NetfilterForward:     {"forward", placeForward},
	NetfilterLocalOut:    {"output", placeLocalOut},
	NetfilterPostRouting: {"postrouting", placePostRouting},
}

// NetfilterHooks returns all netfilter hooks, in the order of the kernel's enum.
func NetfilterHooks() []NetfilterHook {
	hooks := make([]NetfilterHook, len(netfilterHooks))
	for i := range hooks {
		hooks[i] = NetfilterHook(i)
	}
	return hooks
}

// String returns the name that nft(8) has for the hook: "prerouting", "input",
// "forward", "output" or "postrouting".
func (h NetfilterHook) String() string {
	if int(h) < len(netfilterHooks) {
		return netfilterHooks[h].name
	}
	return unknown
}

// place returns the place of the hook's first program, or 0 for a hook that the kernel
// does not have.
func (h NetfilterHook) place() uint8 {
	if int(h) < len(netfilterHooks) {
		return netfilterHooks[h].place
	}
	return 0
}
