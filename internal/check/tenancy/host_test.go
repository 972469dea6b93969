// SPDX-License-Identifier: Apache-2.0

//go:build linux

package tenancy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/internal/netns"
)

// How a tenant's guests are connected to the hypervisor.
const (
	onOwnBridge    = "bridge"
	onSharedBridge = "shared bridge"
	routed         = "routed"
	// stacked is routed, but by a device on the port, whose name is not that of a port.
	stacked = "stacked"
)

// customer is a tenant of a made-up host. Its token is in the name of all that is its own, and
// nowhere else.
type customer struct {
	token, how string
	number     int
	// nat is set if its first guest has a public address.
	nat    bool
	guests []guest
	// byNetNS is set if the agent is told its namespaces, and not its ports.
	byNetNS, prefixes bool
}

type guest struct {
	netns, address string
	inode          uint32
	// ttl is what its packets begin with, if that is less than usual.
	ttl int
}

func (c *customer) public() string { return fmt.Sprintf("198.51.100.%d", 10+c.number) }

// host is a hypervisor with an uplink and several tenants.
type host struct {
	t         *testing.T
	prefix    string
	customers []*customer
	outside   uint32
}

const (
	farAddr = "203.0.113.8"
	// nobodyAddr is on the shared bridge, at a hardware address that nobody has.
	nobodyAddr = "10.99.250.1"
)

// newHost builds a host from what r draws.
func newHost(t *testing.T, r *rand.Rand) *host {
	h := &host{t: t, prefix: fmt.Sprintf("tn%d-%d", os.Getpid(), r.Uint32N(1e6))}
	hyp := h.space("hyp")
	h.outside = h.space("out")
	_ = hyp
	h.ip("hyp",
		"link add ens0 type veth peer name out0 netns "+h.name("out"), "addr add 192.0.2.2/24 dev ens0", "link set ens0 up",
		"link add br0 type bridge forward_delay 0 mcast_snooping 0", "addr add 10.99.0.1/16 dev br0", "link set br0 up",
		"route add default via 192.0.2.1")
	h.ip("out", "addr add 192.0.2.1/24 dev out0", "link set out0 up", "addr add "+farAddr+"/32 dev lo", "route add default via 192.0.2.2")
	h.run("ip", "netns", "exec", h.name("hyp"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
	for n := range 2 + r.IntN(4) {
		h.add(r, n)
	}
	h.refuse(r)
	return h
}

// refuse has the hypervisor drop packets to a guest of one tenant, and refuse those to one of
// another, or none.
func (h *host) refuse(r *rand.Rand) {
	for _, how := range [][]string{{"-j", "DROP"}, {"-j", "REJECT"}, {"-j", "REJECT", "--reject-with", "icmp-admin-prohibited"}} {
		if c := h.customers[r.IntN(len(h.customers))]; r.IntN(3) == 0 {
			h.run("ip", append([]string{"netns", "exec", h.name("hyp"), "iptables", "-w", "-A", "FORWARD", "-d", c.guests[0].address}, how...)...)
		}
	}
}

func (h *host) name(role string) string { return h.prefix + "-" + role }

// space makes a namespace, and returns its inode number.
func (h *host) space(role string) uint32 {
	h.t.Helper()
	ns, err := netns.Create(h.name(role))
	if err != nil {
		h.t.Fatal(err)
	}
	defer ns.Close()
	h.t.Cleanup(func() { _ = netns.Delete(h.name(role)) })
	h.ip(role, "link set lo up")
	return ns.Inode()
}

// ip carries out commands of ip(8) in a namespace.
func (h *host) ip(role string, commands ...string) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "ip", "-n", h.name(role), "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("ip in %s: %v: %s\n%s", role, err, bytes.TrimSpace(out), strings.Join(commands, "\n"))
	}
}

func (h *host) run(name string, args ...string) {
	h.t.Helper()
	if out, err := exec.CommandContext(h.t.Context(), name, args...).CombinedOutput(); err != nil {
		h.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// add adds a tenant with one or two guests.
func (h *host) add(r *rand.Rand, n int) {
	c := &customer{
		token: fmt.Sprintf("zq%c%c%d", 'a'+rune(r.IntN(26)), 'a'+rune(r.IntN(26)), n), number: n,
		how: []string{onOwnBridge, onSharedBridge, routed, stacked}[r.IntN(4)],
		nat: r.IntN(2) == 0, byNetNS: r.IntN(2) == 0, prefixes: r.IntN(2) == 0,
	}
	if c.how == onOwnBridge {
		br := c.token + "-br"
		h.ip("hyp", "link add "+br+" type bridge forward_delay 0 mcast_snooping 0", fmt.Sprintf("addr add 10.%d.0.1/24 dev %s", n, br), "link set "+br+" up")
	}
	for g := range 1 + r.IntN(2) {
		h.addGuest(c, g, []int{0, 0, 0, 0, 1, 2}[r.IntN(6)])
	}
	if c.nat {
		inside := c.guests[0].address
		h.iptables("-A", "PREROUTING", "-d", c.public(), "-j", "DNAT", "--to-destination", inside)
		h.iptables("-A", "POSTROUTING", "-s", inside, "!", "-d", network(inside), "-j", "SNAT", "--to-source", c.public())
	}
	h.customers = append(h.customers, c)
}

// network returns the prefix that holds all neighbours of an address.
func network(address string) string {
	parts := strings.Split(address, ".")
	if parts[1] == "99" {
		return "10.99.0.0/16"
	}
	return strings.Join(parts[:3], ".") + ".0/24"
}

func (h *host) iptables(args ...string) {
	h.t.Helper()
	h.run("ip", append([]string{"netns", "exec", h.name("hyp"), "iptables", "-w", "-t", "nat"}, args...)...)
}

func (h *host) addGuest(c *customer, g, ttl int) {
	role := fmt.Sprintf("%s-g%d", c.token, g)
	own := guest{netns: h.name(role), inode: h.space(role), ttl: ttl}
	if ttl > 0 {
		h.run("ip", "netns", "exec", own.netns, "sysctl", "-qw", fmt.Sprintf("net.ipv4.ip_default_ttl=%d", ttl))
	}
	eth, port := fmt.Sprintf("%s-e%d", c.token, g), fmt.Sprintf("%s-p%d", c.token, g)
	gateway, bits := "", 24
	link := []string{fmt.Sprintf("link add %s type veth peer name %s netns %s", port, eth, own.netns), "link set " + port + " up"}
	switch c.how {
	case onOwnBridge:
		own.address, gateway = fmt.Sprintf("10.%d.0.%d", c.number, 10+g), fmt.Sprintf("10.%d.0.1", c.number)
		link = append(link, "link set "+port+" master "+c.token+"-br")
	case onSharedBridge:
		own.address, gateway, bits = fmt.Sprintf("10.99.%d.%d", 1+c.number, 10+g), "10.99.0.1", 16
		link = append(link, "link set "+port+" master br0")
	case routed:
		own.address, gateway = fmt.Sprintf("10.%d.%d.10", c.number, 50+g), fmt.Sprintf("10.%d.%d.1", c.number, 50+g)
		link = append(link, fmt.Sprintf("addr add %s/24 dev %s", gateway, port))
	case stacked:
		on := fmt.Sprintf("%s-v%d", c.token, g)
		own.address, gateway = fmt.Sprintf("10.%d.%d.10", c.number, 50+g), fmt.Sprintf("10.%d.%d.1", c.number, 50+g)
		link = append(link, "link add "+on+" link "+port+" type macvlan mode bridge", "link set "+on+" up", fmt.Sprintf("addr add %s/24 dev %s", gateway, on))
	}
	h.ip("hyp", link...)
	in := []string{fmt.Sprintf("addr add %s/%d dev %s", own.address, bits, eth), "link set " + eth + " up", "route add default via " + gateway}
	if c.how == onSharedBridge {
		in = append(in, "neigh add "+nobodyAddr+" lladdr 02:00:00:00:00:99 dev "+eth+" nud permanent")
	}
	h.ip(role, in...)
	c.guests = append(c.guests, own)
}

// yaml returns what the agent is told of the tenants.
func (h *host) yaml() string {
	var b strings.Builder
	b.WriteString("tenants:\n")
	for _, c := range h.customers {
		fmt.Fprintf(&b, "- id: %s\n", c.token)
		if c.byNetNS {
			fmt.Fprintf(&b, "  netns: [%q]\n", h.name(c.token+"-g*"))
		} else {
			fmt.Fprintf(&b, "  ports: [%q]\n", c.token+"-p*")
		}
		if c.how == onOwnBridge {
			fmt.Fprintf(&b, "  bridges: [%q]\n", c.token+"-br")
		}
		if c.prefixes {
			fmt.Fprintf(&b, "  prefixes: [%s]\n", c.guests[0].address)
		}
	}
	return b.String()
}
