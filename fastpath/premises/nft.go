// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/internal/netns"
)

// readNFT reads all rules of nf_tables, those of its iptables among them.
func readNFT(ns *netns.NS) ([]*chain, error) {
	var conn *mdl.Conn
	err := netns.In(ns, func() (err error) {
		conn, err = mdl.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for range attempts {
		before, err := generation(conn)
		if absent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		chains, err := readChains(conn)
		if err != nil && !errors.Is(err, errChanged) {
			return nil, err
		}
		after, aerr := generation(conn)
		if err == nil && aerr == nil && after == before {
			return chains, nil
		}
	}
	return nil, errChanged
}

// absent reports whether an error says that the kernel has no nf_tables.
func absent(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT)
}

// ask sends a request of nf_tables and returns the answers, without their headers.
func ask(conn *mdl.Conn, what int, flags mdl.HeaderFlags) ([]message, error) {
	return request(conn, what, flags, unix.AF_UNSPEC, nil)
}

// request is [ask] about a family, with attributes.
func request(conn *mdl.Conn, what int, flags mdl.HeaderFlags, family byte, attrs []byte) ([]message, error) {
	answers, err := conn.Execute(mdl.Message{
		Header: mdl.Header{Type: mdl.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | what), Flags: mdl.Request | flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	if err != nil {
		return nil, err
	}
	out := make([]message, 0, len(answers))
	for _, a := range answers {
		if a.Header.Flags&mdl.DumpInterrupted != 0 {
			return nil, errChanged
		}
		if len(a.Data) >= 4 {
			out = append(out, message{a.Data[0], a.Data[4:]})
		}
	}
	return out, nil
}

// message is an answer: the family of its table, and attributes.
type message struct {
	family byte
	attrs  []byte
}

// generation returns the number of the last change.
func generation(conn *mdl.Conn) (uint32, error) {
	answers, err := ask(conn, unix.NFT_MSG_GETGEN, 0)
	if err != nil {
		return 0, err
	}
	for _, a := range answers {
		if id, ok := parse(a.attrs)[unix.NFTA_GEN_ID]; ok {
			return number(id), nil
		}
	}
	return 0, errors.New("the kernel does not tell the generation of nf_tables")
}

// attributes are by type.
type attributes map[uint16][]byte

// parse takes attributes apart. Of one that is there twice, the last counts.
func parse(b []byte) attributes {
	out := attributes{}
	for _, a := range list(b) {
		out[a.kind] = a.data
	}
	return out
}

// typeMask is without the bits that say how an attribute is written.
const typeMask = 0x3fff

type attribute struct {
	kind uint16
	data []byte
}

// list takes attributes apart, in order. What is cut off is left out.
func list(b []byte) []attribute {
	var out []attribute
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		out = append(out, attribute{binary.NativeEndian.Uint16(b[2:]) & typeMask, b[4:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return out
}

// number reads a number of up to 32 bits as netlink has them in nf_tables, big-endian; 0 if there
// is none.
func number(b []byte) (n uint32) {
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}

// text reads a string.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// readChains reads chains and their rules.
func readChains(conn *mdl.Conn) ([]*chain, error) {
	answers, err := ask(conn, unix.NFT_MSG_GETCHAIN, mdl.Dump)
	if err != nil {
		return nil, err
	}
	var chains []*chain
	byName := map[[2]string]*chain{}
	for _, a := range answers {
		if c := nftChain(a); c != nil {
			chains = append(chains, c)
			byName[[2]string{c.table, c.name}] = c
		}
	}
	if answers, err = ask(conn, unix.NFT_MSG_GETRULE, mdl.Dump); err != nil {
		return nil, err
	}
	for _, a := range answers {
		at := parse(a.attrs)
		c := byName[[2]string{tableName(a.family, text(at[unix.NFTA_RULE_TABLE])), text(at[unix.NFTA_RULE_CHAIN])}]
		if c != nil {
			c.rules = append(c.rules, nftRule(c, a.family, list(at[unix.NFTA_RULE_EXPRESSIONS])))
		}
	}
	sets, err := readSets(conn)
	if err != nil {
		return nil, err
	}
	noteDynamic(chains, sets)
	return chains, nil
}

// tableName returns "table ip nat".
func tableName(family byte, name string) string {
	word := fmt.Sprint(family)
	switch family {
	case unix.NFPROTO_INET:
		word = "inet"
	case unix.NFPROTO_IPV4:
		word = "ip"
	case unix.NFPROTO_IPV6:
		word = "ip6"
	case unix.NFPROTO_NETDEV:
		word = "netdev"
	case unix.NFPROTO_BRIDGE:
		word = "bridge"
	}
	return "table " + word + " " + name
}

// Numbers of hooks: those of IP and bridges, and the one of devices.
const (
	preroutingHook = 0
	inputHook      = 1
	forwardHook    = 2
	inetIngress    = 5
	netdevIngress  = 0
)

// nftChain translates a chain without its rules, or returns nil for one of dwell's or one that
// no IP packet passes.
func nftChain(m message) *chain {
	at := parse(m.attrs)
	c := &chain{
		table: tableName(m.family, text(at[unix.NFTA_CHAIN_TABLE])), name: text(at[unix.NFTA_CHAIN_NAME]),
		v4: m.family != unix.NFPROTO_IPV6, v6: m.family != unix.NFPROTO_IPV4,
	}
	ip := m.family == unix.NFPROTO_IPV4 || m.family == unix.NFPROTO_IPV6
	if m.family == unix.NFPROTO_ARP || ip && text(at[unix.NFTA_CHAIN_TABLE]) == "filter" && netfilter.Ours(c.name) {
		return nil
	}
	if hooked, ok := at[unix.NFTA_CHAIN_HOOK]; ok {
		c.nftHook(m.family, parse(hooked))
		c.nftCalls(m.family, parse(hooked), at)
	}
	if c.hook == before && ip && c.name == "FORWARD" && strings.HasSuffix(c.table, " filter") {
		c.hook = elsewhere // dwell's jump is its first rule
	}
	return c
}

// The attribute of a hook that lists several devices, and what it consists of.
const (
	hookDevices = 4
	deviceName  = 1
)

func (c *chain) nftHook(family byte, at attributes) {
	n, priority := number(at[unix.NFTA_HOOK_HOOKNUM]), int32(number(at[unix.NFTA_HOOK_PRIORITY]))
	c.hook = elsewhere
	switch family {
	case unix.NFPROTO_NETDEV:
		if n == netdevIngress {
			c.hook = before
		}
	case unix.NFPROTO_BRIDGE:
		if n == preroutingHook || n == inputHook {
			c.hook = before
		}
	default:
		// Where chains have the same priority, who came first is not known.
		if n == preroutingHook || n == inetIngress || n == forwardHook && priority <= 0 {
			c.hook = before
		}
	}
	if name := text(at[unix.NFTA_HOOK_DEV]); name != "" {
		c.devices = append(c.devices, name)
	}
	for _, d := range list(at[hookDevices]) {
		if d.kind == deviceName {
			c.devices = append(c.devices, text(d.data))
		} else {
			c.devices = nil // such as a pattern
			return
		}
	}
}
