// SPDX-License-Identifier: Apache-2.0

package trace

import "strconv"

// Attr is one attribute of a span event: a key from this file and its value.
type Attr struct {
	Key string
	// Str is the value if IsInt is not set.
	Str   string
	Int   int64
	IsInt bool
}

// String makes a string attribute.
func String(key, value string) Attr { return Attr{Key: key, Str: value} }

// Int makes an integer attribute.
func Int(key string, value int64) Attr { return Attr{Key: key, Int: value, IsInt: true} }

// Value returns the value as text.
func (a Attr) Value() string {
	if a.IsInt {
		return strconv.FormatInt(a.Int, 10)
	}
	return a.Str
}

// Where an attribute stands.
const (
	OnResource = "resource"
	OnRoot     = "root span"
	OnSpan     = "span"
	OnEvent    = "span event"
)

// Attribute documents one attribute name. docs/attributes.md is made from these.
type Attribute struct {
	Key string
	// On is one of the On constants.
	On string
	// Type is an OpenTelemetry attribute type: string, int, boolean.
	Type string
	// Unit is a UCUM unit, or "" if the value has none.
	Unit    string
	Meaning string
	// Semconv is set if the name is OpenTelemetry's and not ours.
	Semconv bool
}

// The attribute names. Those of OpenTelemetry's semantic conventions come first.
const (
	AttrServiceName       = "service.name"
	AttrServiceVersion    = "service.version"
	AttrHostID            = "host.id"
	AttrHostName          = "host.name"
	AttrContainerID       = "container.id"
	AttrContainerName     = "container.name"
	AttrContainerRuntime  = "container.runtime.name"
	AttrPodName           = "k8s.pod.name"
	AttrPodNamespace      = "k8s.namespace.name"
	AttrPodUID            = "k8s.pod.uid"
	AttrNetworkInterface  = "network.interface.name"
	AttrNetworkType       = "network.type"
	AttrNetworkTransport  = "network.transport"
	AttrSourceAddress     = "source.address"
	AttrDestinationAddr   = "destination.address"
	AttrServerAddress     = "server.address"
	AttrErrorType         = "error.type"
	AttrRuleName          = "security_rule.name"
	AttrRuleUUID          = "security_rule.uuid"
	AttrRuleCategory      = "security_rule.category"
	AttrRuleDescription   = "security_rule.description"
	AttrRulesetName       = "security_rule.ruleset.name"
	AttrDwellNS           = "dwell.ns"
	AttrKind              = "dwell.kind"
	AttrDirection         = "dwell.direction"
	AttrPeerInterface     = "dwell.peer.interface.name"
	AttrBridge            = "dwell.bridge.name"
	AttrNetNS             = "dwell.netns.inode"
	AttrNetNSName         = "dwell.netns.name"
	AttrNetNSRole         = "dwell.netns.role"
	AttrICMPID            = "dwell.icmp.id"
	AttrICMPSeq           = "dwell.icmp.seq"
	AttrPayloadLen        = "dwell.icmp.payload_size"
	AttrOutcome           = "dwell.outcome"
	AttrIncomplete        = "dwell.incomplete"
	AttrIdentity          = "dwell.identity"
	AttrDuplicates        = "dwell.duplicates"
	AttrTunnelSource      = "dwell.tunnel.source.address"
	AttrTunnelDestination = "dwell.tunnel.destination.address"
	AttrTunnelType        = "dwell.tunnel.type"
	AttrTunnelID          = "dwell.tunnel.id"
	AttrTunnelDepth       = "dwell.tunnel.depth"
	AttrDropReason        = "dwell.drop.reason"
	AttrNATBefore         = "dwell.nat.before"
	AttrNATAfter          = "dwell.nat.after"
	AttrICMPErrorType     = "dwell.icmp.error.type"
	AttrICMPErrorCode     = "dwell.icmp.error.code"
	AttrTenantID          = "dwell.tenant.id"
	AttrTenantNumber      = "dwell.tenant.number"
	AttrRule              = "dwell.action.rule"
	AttrFirewallVerdict   = "dwell.firewall.verdict"
	AttrFirewallPlace     = "dwell.firewall.place"
	AttrFirewallReason    = "dwell.firewall.reason"
	AttrFirewallChain     = "dwell.firewall.chain"
	AttrFirewallRule      = "dwell.firewall.rule"
	AttrFirewallNS        = "dwell.firewall.ns"
	AttrFastPathReason    = "dwell.fastpath.reason"
	AttrFastPathLearnt    = "dwell.fastpath.learnt"
	AttrFastPathFrom      = "dwell.fastpath.from.interface.name"
	AttrFastPathTo        = "dwell.fastpath.to.interface.name"
	AttrFastPathBefore    = "dwell.fastpath.before"
	AttrFastPathAfter     = "dwell.fastpath.after"
	AttrFastPathSrcMAC    = "dwell.fastpath.source.mac"
	AttrFastPathDstMAC    = "dwell.fastpath.destination.mac"
	AttrFastPathTTL       = "dwell.fastpath.ttl"
	AttrFastPathTunnel    = "dwell.fastpath.tunnel"
	AttrFastPathHandover  = "dwell.fastpath.handover"
	AttrFastPathLease     = "dwell.fastpath.lease"
	AttrFastPathNS        = "dwell.fastpath.ns"
)

// The names of span events.
const (
	// EventDrop: the kernel dropped the packet.
	EventDrop = "drop"
	// EventNAT: addresses or identifier were rewritten.
	EventNAT = "nat"
	// EventCopy: a copy of the packet went another way (bridge flood, mirror).
	EventCopy = "copy"
	// EventICMPError: a host on the way answered with an ICMP error.
	EventICMPError = "icmp.error"
	// EventFirewall, EventRedirect, EventFallback and EventLearn: what the firewall or the
	// fast path did to the packet.
	EventFirewall = "firewall"
	EventRedirect = "fastpath.redirect"
	EventFallback = "fastpath.fallback"
	EventLearn    = "fastpath.learn"
)

// Attributes documents every attribute that dwell writes.
var Attributes = []Attribute{
	{AttrServiceName, OnResource, "string", "", "Name of the network namespace or, if it belongs to a pod or container, the name of that; OTEL_SERVICE_NAME overrides it.", true},
	{AttrServiceVersion, OnResource, "string", "", "Version of dwell.", true},
	{AttrHostID, OnResource, "string", "", "The host's machine ID, unless host.id is configured.", true},
	{AttrHostName, OnResource, "string", "", "The host name, unless host.name is configured.", true},
	{AttrContainerID, OnResource, "string", "", "ID of the container that the network namespace belongs to, from the path of its cgroup; for lxc, systemd-nspawn and libvirt-lxc its name. In a pod, it is the container that was started first, apart from the sandbox.", true},
	{AttrContainerName, OnResource, "string", "", "The container's name, if the container runtime or the path of the cgroup provides it.", true},
	{AttrContainerRuntime, OnResource, "string", "", "The container runtime: docker, containerd, cri-o, podman, lxc (also for Incus and LXD), systemd-nspawn or libvirt-lxc.", true},
	{AttrPodName, OnResource, "string", "", "Name of the Kubernetes pod that the network namespace belongs to, if the container runtime provides it.", true},
	{AttrPodNamespace, OnResource, "string", "", "The pod's Kubernetes namespace, if the container runtime provides it.", true},
	{AttrPodUID, OnResource, "string", "", "The pod's UID, from the path of its cgroup. For a static pod, this is the value of its annotation kubernetes.io/config.hash, not the UID in the API server.", true},
	{AttrNetNS, OnResource, "int", "", "Inode number of the network namespace, as printed by ls -i /run/netns.", false},
	{AttrNetNSName, OnResource, "string", "", "Name of the network namespace, even if service.name is overridden.", false},
	{AttrNetNSRole, OnResource, "string", "", "\"hypervisor\" if the namespace is a hypervisor; otherwise absent, because the role is not known.", false},

	{AttrSourceAddress, OnSpan, "string", "", "The echo's source address at the beginning of the span.", true},
	{AttrDestinationAddr, OnSpan, "string", "", "The echo's destination address at the beginning of the span.", true},
	{AttrNetworkType, OnSpan, "string", "", "\"ipv4\" or \"ipv6\".", true},
	{AttrNetworkTransport, OnSpan, "string", "", "\"icmp\" or \"icmpv6\".", true},
	{AttrNetworkInterface, OnSpan, "string", "", "The network device where the span begins.", true},
	{AttrServerAddress, OnSpan, "string", "", "On the span `beyond` of traces that are sent to an endpoint: where the request went when it left this host. A service graph may use it as the name of what is there.", true},
	{AttrErrorType, OnSpan, "string", "", "The kernel's drop reason, if the packet was dropped in this span; \"icmp_unreachable\" on the root of a ping with that outcome.", true},
	{AttrRuleName, OnSpan, "string", "", "The rule of a tenant's firewall that dropped the packet in this span, see the span event; on the root, that dropped the ping's.", true},
	{AttrRuleUUID, OnSpan, "string", "", "The UUID of that rule.", true},
	{AttrDwellNS, OnSpan, "int", "ns", "The span's exact duration; some user interfaces round to microseconds.", false},
	{AttrKind, OnSpan, "string", "", "What the span represents: ping, echo request, echo reply, device, hypervisor, or a kind of leaf.", false},
	{AttrDirection, OnSpan, "string", "", "\"request\" or \"reply\".", false},
	{AttrPeerInterface, OnSpan, "string", "", "The network device where the span ends, if it is a different one.", false},
	{AttrBridge, OnSpan, "string", "", "Name of the bridge that the device is a port of.", false},
	{AttrTunnelSource, OnSpan, "string", "", "Source address of the outer packet that encapsulates the echo.", false},
	{AttrTunnelDestination, OnSpan, "string", "", "Destination address of the outer packet that encapsulates the echo.", false},
	{AttrTunnelType, OnSpan, "string", "", "Type of the outermost tunnel: vxlan, vxlan-gpe, geneve, gre, gretap, erspan, ipip, sit, ip6tnl, srv6, mpls, pppoe, fou, wireguard or esp.", false},
	{AttrTunnelID, OnSpan, "int", "", "What distinguishes the tunnel from others of its type: the VNI of VXLAN and Geneve, the key of GRE, the session of ERSPAN and PPPoE, the top label of MPLS, the SPI of ESP.", false},
	{AttrTunnelDepth, OnSpan, "int", "{tunnel}", "Number of tunnels around the echo, if there is more than one.", false},
	{AttrTenantID, OnSpan, "string", "", "The tenant to which the device or the namespace belongs where the span begins; on the root the one whose ping it is: the first that the ping passed.", false},

	{AttrICMPID, OnRoot, "int", "", "The echo's identifier, as its sender sees it, before any NAT.", false},
	{AttrICMPSeq, OnRoot, "int", "", "The echo's sequence number.", false},
	{AttrPayloadLen, OnRoot, "int", "By", "Length of the echo's payload; absent if only fragments of it were seen.", false},
	{AttrOutcome, OnRoot, "string", "", "\"complete\", \"dropped\", \"incomplete\", \"expired\" (its time to live ran out and a router said so), \"unreachable\" (another ICMP error came back) or \"partial\" (the scope leaves out interfaces).", false},
	{AttrIncomplete, OnRoot, "string", "", "Why the trace is incomplete: events_lost, evicted, agent_started, agent_stopped, no_request, no_reply, not_delivered, unseen.", false},
	{AttrIdentity, OnRoot, "string", "", "\"local\" if the payload does not distinguish the echo from others, so that other hosts compute a different trace ID.", false},
	{AttrDuplicates, OnRoot, "int", "{reply}", "Number of replies delivered after the first one.", false},

	{AttrDropReason, OnEvent, "string", "", "The kernel's drop reason (enum skb_drop_reason, without the prefix SKB_DROP_REASON_).", false},
	{AttrNATBefore, OnEvent, "string", "", "Source, destination and identifier before the rewrite.", false},
	{AttrNATAfter, OnEvent, "string", "", "Source, destination and identifier after the rewrite.", false},
	{AttrICMPErrorType, OnEvent, "int", "", "The type of an ICMP error about the echo.", false},
	{AttrICMPErrorCode, OnEvent, "int", "", "The code of an ICMP error about the echo.", false},
	{AttrSourceAddress, OnEvent, "string", "", "Who sent the ICMP error.", true},
	{AttrTenantID, OnEvent, "string", "", "The ID of the tenant in whose name it was done.", false},
	{AttrTenantNumber, OnEvent, "int", "", "The number of that tenant on this host.", false},
	{AttrRule, OnEvent, "int", "", "The number by which the programs know the rule that decided; 0 or absent is the policy of the chain.", false},
	{AttrFirewallVerdict, OnEvent, "string", "", "What the tenant's rules said of the packet: \"pass\" (they have no objection; the operator's rules are asked next), \"drop\", \"defer\" (left to who judges next: the program in FORWARD, then iptables) or \"unknown\" (iptables dropped the packet, and whether a rule of the tenant did that cannot be known).", false},
	{AttrFirewallPlace, OnEvent, "string", "", "Where it was judged: \"tc\" (where packets arrive on the tenant's port), \"forward\" (the program that iptables asks in FORWARD) or \"iptables\" (the rule there; inferred from what the rules say of the packet's header).", false},
	{AttrFirewallReason, OnEvent, "string", "", "Why it was left to the next, or why it cannot be known.", false},
	{AttrFirewallChain, OnEvent, "string", "", "The chain of the rule that decided, as the tenant calls it.", false},
	{AttrFirewallRule, OnEvent, "int", "", "The rule's place in that chain, counted from 1; absent for the chain's policy.", false},
	{AttrFirewallNS, OnEvent, "int", "ns", "How long the program took that judged, where that was measured.", false},
	{AttrFastPathReason, OnEvent, "string", "", "Why the packet was left to the kernel, or why nothing was learnt from it: a word that docs/fastpath.md explains, or the number of a reason that is not known.", false},
	{AttrFastPathLearnt, OnEvent, "string", "", "What was learnt from the packet: \"made\" (how the kernel treats a flow that was not known), \"renewed\" (it still does as was foretold, so that this is believed for another while) or \"agreed\" (it did as was foretold).", false},
	{AttrFastPathFrom, OnEvent, "string", "", "The network device by which the packet came in.", false},
	{AttrFastPathTo, OnEvent, "string", "", "The network device to which it was sent.", false},
	{AttrFastPathBefore, OnEvent, "string", "", "Source, destination and identifier before the fast path, if it rewrote them.", false},
	{AttrFastPathAfter, OnEvent, "string", "", "Source, destination and identifier after it.", false},
	{AttrFastPathSrcMAC, OnEvent, "string", "", "The frame's source address after the fast path; absent if the kernel's table of neighbours gave it.", false},
	{AttrFastPathDstMAC, OnEvent, "string", "", "The frame's destination address after the fast path, likewise.", false},
	{AttrFastPathTTL, OnEvent, "int", "", "The echo's time to live or hop limit after the fast path.", false},
	{AttrFastPathTunnel, OnEvent, "string", "", "\"encapsulated\" if the headers of a tunnel were put before the packet, \"decapsulated\" if they were taken from it.", false},
	{AttrFastPathHandover, OnEvent, "string", "", "\"peer\" if the packet was given to the other end of the device's pair, where it arrived at once.", false},
	{AttrFastPathLease, OnEvent, "int", "ms", "How long what was learnt of the flow was still to be believed.", false},
	{AttrFastPathNS, OnEvent, "int", "ns", "How long the fast path's program took, where that was measured.", false},
	{AttrRuleName, OnEvent, "string", "", "Chain and place of the rule, such as \"FORWARD 3\", or \"FORWARD policy\".", true},
	{AttrRuleUUID, OnEvent, "string", "", "The rule's UUID, which is derived from tenant, chain and text and stays when rules are put before it.", true},
	{AttrRuleCategory, OnEvent, "string", "", "Always \"firewall\".", true},
	{AttrRuleDescription, OnEvent, "string", "", "The rule as iptables-save prints it.", true},
	{AttrRulesetName, OnEvent, "string", "", "The ID of the tenant whose rules they are.", true},
	{AttrNetworkInterface, OnEvent, "string", "", "The network device to which a copy of the packet went.", true},
}
