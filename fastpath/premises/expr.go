// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// nftReader reads the expressions of one rule, one after the other.
type nftReader struct {
	*rule
	family byte
	// regs is what is in each register of 32 bits that was written as a whole.
	regs  map[uint32]value
	conds []cond
}

// cond is a condition: which of the viewer's packets may meet it.
type cond func(*view) []header.Box

// value is where what is in a register comes from.
type value struct {
	from   origin
	key    uint32 // of meta, ct and fib
	base   uint32 // of payload, and offset
	offset uint32
	data   []byte // a constant
	masked bool   // (it & mask) ^ xor
	mask   []byte
	xor    []byte
}

type origin uint8

const (
	unknownValue origin = iota
	fromMeta
	fromCT
	fromPayload
	fromFIB
	constant
)

// verdictReg is the number of the register for verdicts.
const verdictReg = 0

// nftRule translates a rule.
func nftRule(c *chain, family byte, exprs []attribute) *rule {
	r := &nftReader{
		rule: &rule{where: fmt.Sprintf("rule %d of chain %s in nft's %s", len(c.rules)+1, c.name, c.table)}, family: family, regs: map[uint32]value{},
	}
	r.nft, r.rule.family = exprs, family
	for _, e := range exprs {
		at := parse(e.data)
		r.expr(text(at[unix.NFTA_EXPR_NAME]), parse(at[unix.NFTA_EXPR_DATA]))
		r.limit(all(r.conds)) // what comes later does not keep it from being done
	}
	r.match = all(r.conds)
	return r.rule
}

// all is that all conditions hold.
func all(conds []cond) func(*view) []header.Box {
	return func(v *view) []header.Box {
		boxes := everything()
		for _, c := range conds {
			if boxes = header.IntersectBoxes(boxes, c(v)); len(boxes) == 0 {
				return nil
			}
		}
		return withoutPorts(boxes)
	}
}

// withoutPorts takes limits of ports away where the protocol may be one that has none: what is
// compared there is not a port.
func withoutPorts(boxes []header.Box) []header.Box {
	ported := header.Values(header.TCP, header.UDP, header.DCCP, header.SCTP, header.UDPLite)
	for i := range boxes {
		b := &boxes[i]
		if proto := b[header.Proto]; proto == nil || !proto.Subtract(ported, header.Proto.Max()).Empty() {
			b[header.Sport], b[header.Dport] = nil, nil
		}
	}
	return boxes
}

// register returns the number of the register's first 32 bits.
func register(b []byte) uint32 {
	n := number(b)
	switch {
	case n == 0:
		return ^uint32(0) // the verdict's
	case n <= unix.NFT_REG_4:
		return (n - 1) * 4
	}
	return n - unix.NFT_REG32_00
}

// write notes what is in a register now.
func (r *nftReader) write(reg []byte, v value, length uint32) {
	first := register(reg)
	for i := uint32(1); i < max((length+3)/4, 1); i++ {
		delete(r.regs, first+i)
	}
	r.regs[first] = v
}

// expr reads one expression.
func (r *nftReader) expr(name string, at attributes) {
	switch name {
	case "meta":
		r.meta(at)
	case "ct":
		r.ct(at)
	case "payload":
		r.payload(at)
	case "fib":
		r.write(at[fibDreg], value{from: fromFIB, key: number(at[fibResult])<<16 | number(at[fibFlags])}, 4)
	case "immediate":
		r.immediate(at)
	case "bitwise":
		r.bitwise(at)
	case "cmp":
		r.cmp(at)
	case "lookup":
		r.lookup(at)
	case "nat":
		r.nat(at)
	case "match":
		r.compatMatch(text(at[unix.NFTA_MATCH_NAME]), at[unix.NFTA_MATCH_INFO])
	case "target":
		r.compatTarget(text(at[unix.NFTA_TARGET_NAME]), number(at[unix.NFTA_TARGET_REV]), at[unix.NFTA_TARGET_INFO])
	case "objref":
		if kind := number(at[unix.NFTA_OBJREF_IMM_TYPE]); kind != objectCounter {
			r.does(seen, "uses a stateful object")
			r.helps = true // a helper, or one of a map of what may be helpers
		}
	case "exthdr":
		if _, sets := at[exthdrSreg]; sets {
			r.does(rewrites, "changes packets")
		}
		delete(r.regs, register(at[unix.NFTA_EXTHDR_DREG]))
	default:
		r.other(name, at)
	}
}

// Attributes that the library has no names for.
const (
	fibDreg, fibResult, fibFlags = 1, 2, 3
	objectCounter                = 1
	exthdrSreg                   = 7
	bitwiseOp                    = 6
	fibAddrType                  = 3 // NFT_FIB_RESULT_ADDRTYPE
	fibDaddr                     = 2 // NFTA_FIB_F_DADDR
	addrLocal                    = 2 // RTN_LOCAL
)

// other reads an expression of which only the name matters. The first attribute of those that
// write to a register is which one, except for three.
func (r *nftReader) other(name string, at attributes) {
	switch name {
	case "counter":
	case "range":
		r.span(at)
	case "rt", "socket", "osf", "xfrm", "tunnel":
		r.forget()
	case "byteorder", "hash", "inner":
		r.forget()
	case "redir", "tproxy":
		r.does(translates, "translates destinations ("+name+")")
	case "masq":
		r.sources = append(r.sources, sources{local: true})
	case "flow_offload":
		r.bypasses = true
	case "log", "queue", "limit", "quota", "connlimit", "last", "dynset", "notrack", "dup", "reject", "synproxy", "secmark", "numgen":
		r.does(seen, "has "+name)
		r.forget()
	default:
		r.does(seen, "has the expression "+name+", which is not known")
		r.does(rewrites, "has the expression "+name+", which is not known")
		r.forget()
	}
}

// forget makes all registers unknown.
func (r *nftReader) forget() { clear(r.regs) }

func (r *nftReader) meta(at attributes) {
	key := number(at[unix.NFTA_META_KEY])
	source, sets := at[unix.NFTA_META_SREG]
	switch {
	case !sets:
		r.write(at[unix.NFTA_META_DREG], value{from: fromMeta, key: key}, 16)
	case key == unix.NFT_META_MARK:
		r.setMark(r.regs[register(source)])
	case key == unix.NFT_META_PRIORITY:
	default:
		r.does(seen, "sets what nft calls meta")
		r.does(rewrites, "sets what nft calls meta")
	}
}

func (r *nftReader) ct(at attributes) {
	key := number(at[unix.NFTA_CT_KEY])
	source, sets := at[unix.NFTA_CT_SREG]
	switch {
	case !sets:
		r.state = r.state || key != unix.NFT_CT_ZONE
		r.write(at[unix.NFTA_CT_DREG], value{from: fromCT, key: key}, 16)
	case key == unix.NFT_CT_ZONE:
		if v := r.regs[register(source)]; v.from == constant && len(v.data) >= 2 {
			r.zone(binary.NativeEndian.Uint16(v.data))
		} else {
			r.does(anyZone, "sets a zone of connection tracking that is not known")
		}
	case key == unix.NFT_CT_MARK:
		r.state = true // of ICMP, whose connections cannot be looked for
		r.setMark(r.regs[register(source)])
	default:
		r.does(seen, "sets what connection tracking knows")
	}
}

// setMark notes which bits of a mark are set.
func (r *nftReader) setMark(v value) {
	mark := v.from == fromMeta && v.key == unix.NFT_META_MARK || v.from == fromCT && v.key == unix.NFT_CT_MARK
	switch {
	case v.from == constant && len(v.data) == 4:
		r.sets(binary.NativeEndian.Uint32(v.data), ^uint32(0))
	case mark && !v.masked:
	case mark && len(v.xor) == 4:
		r.sets(binary.NativeEndian.Uint32(v.xor), ^uint32(0))
	default:
		r.bits = ^uint32(0)
	}
}

func (r *nftReader) payload(at attributes) {
	if _, sets := at[unix.NFTA_PAYLOAD_SREG]; sets {
		r.does(rewrites, "changes packets")
		return
	}
	length := number(at[unix.NFTA_PAYLOAD_LEN])
	r.write(at[unix.NFTA_PAYLOAD_DREG], value{
		from: fromPayload, base: number(at[unix.NFTA_PAYLOAD_BASE]), offset: number(at[unix.NFTA_PAYLOAD_OFFSET]), key: length,
	}, length)
}

func (r *nftReader) immediate(at attributes) {
	data := parse(at[unix.NFTA_IMMEDIATE_DATA])
	if number(at[unix.NFTA_IMMEDIATE_DREG]) != verdictReg {
		v := data[unix.NFTA_DATA_VALUE]
		r.write(at[unix.NFTA_IMMEDIATE_DREG], value{from: constant, data: v}, uint32(len(v)))
		return
	}
	verdict := parse(data[unix.NFTA_DATA_VERDICT])
	if name := text(verdict[unix.NFTA_VERDICT_CHAIN]); name != "" {
		r.jumps = append(r.jumps, name)
	}
}

func (r *nftReader) bitwise(at attributes) {
	v, known := r.regs[register(at[unix.NFTA_BITWISE_SREG])]
	if number(at[bitwiseOp]) != 0 || v.masked || !known || v.from == constant {
		v = value{}
	}
	v.masked = true
	v.mask = parse(at[unix.NFTA_BITWISE_MASK])[unix.NFTA_DATA_VALUE]
	v.xor = parse(at[unix.NFTA_BITWISE_XOR])[unix.NFTA_DATA_VALUE]
	r.write(at[unix.NFTA_BITWISE_DREG], v, number(at[unix.NFTA_BITWISE_LEN]))
}

func (r *nftReader) lookup(at attributes) {
	dreg, maps := at[unix.NFTA_LOOKUP_DREG]
	switch {
	case !maps:
	case number(dreg) == verdictReg:
		r.anywhere = true
	default:
		r.write(dreg, value{}, 16)
	}
}

func (r *nftReader) nat(at attributes) {
	if number(at[unix.NFTA_NAT_TYPE]) == unix.NFT_NAT_DNAT {
		r.does(translates, "translates destinations (dnat)")
		return
	}
	lo, hasLo := at[unix.NFTA_NAT_REG_ADDR_MIN]
	hi, hasHi := at[unix.NFTA_NAT_REG_ADDR_MAX]
	if !hasLo {
		return // ports alone
	}
	if !hasHi {
		hi = lo
	}
	r.sources = append(r.sources, sourceRange(r.regs[register(lo)].data, r.regs[register(hi)].data))
}
