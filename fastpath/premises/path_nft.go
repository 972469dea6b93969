// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// flowReader reads the expressions of one rule for packets of flows. Unlike nftReader it knows which of
// the conditions it has understood exactly, and which are the same for all packets of a flow.
type flowReader struct {
	family header.Family
	nft    byte
	called []string
	known  map[string]*nftSet
	regs   map[uint32]operand
	rule   ruleset.Rule // what is read so far
	note   *Note
	out    []ruleset.Rule
	ended  bool
}

// operand is what is in a register.
type operand struct {
	value
	length uint32
	// varies is what it is, in words, if it may be another for each packet of a flow, and cannot be told
	// from a packet's words.
	varies string
}

// maxFlowBoxes is how many boxes a rule may have; beyond, not all conditions are kept.
const maxFlowBoxes = 256

func nftForFlows(r *rule, family header.Family, called []string) ([]ruleset.Rule, *Note) {
	f := &flowReader{
		family: family, nft: r.family, called: called, known: r.tableSets, regs: map[uint32]operand{}, rule: ruleset.Rule{Boxes: everything(), Fixed: true}, note: &Note{},
	}
	for _, e := range r.nft {
		at := parse(e.data)
		if f.expr(text(at[unix.NFTA_EXPR_NAME]), parse(at[unix.NFTA_EXPR_DATA])); f.ended {
			break
		}
	}
	return f.out, f.note
}

// does ends the rule with something that must be done to each packet.
func (f *flowReader) does(what string) {
	f.note.Does = what
	f.emit(ruleset.Foreign, "", false)
	f.ended = true
}

// emit adds what is done to packets that meet the conditions so far.
func (f *flowReader) emit(action ruleset.Action, target string, marks bool) {
	if len(f.rule.Boxes) == 0 {
		return
	}
	r := f.rule
	r.Boxes, r.Action, r.Target, r.Marks = slices.Clone(r.Boxes), action, target, marks
	r.Fixed = r.Fixed && r.Unknown
	f.out = append(f.out, r)
}

// meets adds a condition that packets meet that are in one of the boxes.
func (f *flowReader) meets(boxes []header.Box) {
	if len(boxes)*len(f.rule.Boxes) > maxFlowBoxes {
		f.mayMeet("has too many combinations of conditions")
		return
	}
	f.rule.Boxes = header.IntersectBoxes(f.rule.Boxes, boxes)
}

// mayMeet adds a condition that is not understood. If it may be met by some packets of a flow only, varies
// completes the sentence "the rule …".
func (f *flowReader) mayMeet(varies string) {
	f.rule.Unknown = true
	if varies != "" {
		f.rule.Fixed = false
		f.note.Does = varies
	}
}

// looksAt adds a condition about a register of which nothing is understood.
func (f *flowReader) looksAt(o operand) {
	if o.varies == "" {
		f.mayMeet("")
		return
	}
	f.mayMeet("looks at " + o.varies)
}

// expr reads one expression.
func (f *flowReader) expr(name string, at attributes) {
	switch name {
	case "meta":
		f.meta(at)
	case "ct":
		f.ct(at)
	case "payload":
		f.payload(at)
	case "immediate":
		f.immediate(at)
	case "bitwise":
		f.bitwise(at)
	case "byteorder":
		f.write(at[unix.NFTA_BYTEORDER_DREG], f.made(f.get(at[unix.NFTA_BYTEORDER_SREG])), number(at[unix.NFTA_BYTEORDER_LEN]))
	case "cmp":
		f.compare(f.get(at[unix.NFTA_CMP_SREG]), number(at[unix.NFTA_CMP_OP]), parse(at[unix.NFTA_CMP_DATA])[unix.NFTA_DATA_VALUE])
	case "range":
		f.span(at)
	case "lookup":
		f.lookup(at)
	case "match":
		f.compatMatch(text(at[unix.NFTA_MATCH_NAME]), number(at[unix.NFTA_MATCH_REV]), at[unix.NFTA_MATCH_INFO])
	case "target":
		f.target(text(at[unix.NFTA_TARGET_NAME]))
	default:
		f.other(name, at)
	}
}

// other reads an expression of which little but the name matters.
func (f *flowReader) other(name string, at attributes) {
	switch name {
	case "counter", "last": // what they count does not matter to any packet
	case "fib":
		f.write(at[fibDreg], operand{}, 4)
	case "rt", "xfrm", "tunnel":
		f.forget()
	case "exthdr":
		f.exthdr(at)
	case "hash":
		o := operand{varies: "a hash of the packet"}
		if number(at[hashType]) == 0 {
			o = f.made(f.get(at[unix.NFTA_HASH_SREG]))
		}
		f.write(at[unix.NFTA_HASH_DREG], o, 4)
	case "nat", "masq", "redir", "tproxy", "notrack", "secmark":
		f.emit(ruleset.Continue, "", true)
	case "reject":
		f.emit(ruleset.Deny, "", false)
		f.ended = true
	case "objref":
		switch number(at[unix.NFTA_OBJREF_IMM_TYPE]) {
		case objectCounter:
		case objectHelper, objectTimeout, objectExpectation: // of new connections
			f.emit(ruleset.Continue, "", true)
		default:
			f.does("uses a stateful object")
		}
	default:
		f.does("has " + name)
	}
}

// Numbers that the library has no names for.
const (
	hashType          = 7
	objectHelper      = 3
	objectTimeout     = 7
	objectExpectation = 9
	exthdrOp          = 6
	exthdrTCPOption   = 1
	lookupFlags       = 5
)

func (f *flowReader) exthdr(at attributes) {
	if _, sets := at[exthdrSreg]; sets {
		f.does("changes packets")
		return
	}
	o := operand{}
	if number(at[exthdrOp]) == exthdrTCPOption {
		o.varies = "TCP options"
		f.meets(has(header.Proto, header.TCP)(nil))
	}
	f.write(at[unix.NFTA_EXTHDR_DREG], o, 16)
}

func (f *flowReader) target(name string) {
	action, marks := targetForFlows(name)
	switch {
	case action == ruleset.Foreign:
		f.does("has the target " + name)
	case action == ruleset.Continue && marks:
		f.emit(action, "", true)
	case action != ruleset.Continue:
		f.emit(action, "", false)
		f.ended = true
	}
}

// get returns what is in a register. One of which nothing is known may vary.
func (f *flowReader) get(reg []byte) operand {
	if o, known := f.regs[register(reg)]; known {
		return o
	}
	return operand{varies: "what is not known"}
}

// made is something that is made of an operand, in a way that is not followed.
func (f *flowReader) made(o operand) operand { return operand{varies: f.variesAtAll(o)} }

// forget makes the registers ones of which it is only known that they are the same for a flow.
func (f *flowReader) forget() {
	for reg := range uint32(registers) {
		if o := f.regs[reg]; o.varies == "" {
			f.regs[reg] = operand{}
		}
	}
}

const registers = 16 // of 32 bits

func (f *flowReader) write(reg []byte, o operand, length uint32) {
	first := register(reg)
	for i := uint32(1); i < max((length+3)/4, 1); i++ {
		f.regs[first+i] = operand{varies: o.varies} // the middle of a value
	}
	o.length = length
	f.regs[first] = o
}

func (f *flowReader) immediate(at attributes) {
	data := parse(at[unix.NFTA_IMMEDIATE_DATA])
	if number(at[unix.NFTA_IMMEDIATE_DREG]) != verdictReg {
		v := data[unix.NFTA_DATA_VALUE]
		f.write(at[unix.NFTA_IMMEDIATE_DREG], operand{value: value{from: constant, data: v}}, uint32(len(v)))
		return
	}
	verdict := parse(data[unix.NFTA_DATA_VERDICT])
	f.verdict(int32(number(verdict[unix.NFTA_VERDICT_CODE])), text(verdict[unix.NFTA_VERDICT_CHAIN]))
}

// verdict ends the rule with a verdict.
func (f *flowReader) verdict(code int32, target string) {
	switch code {
	case unix.NFT_CONTINUE, unix.NFT_BREAK:
		return
	case 0: // NF_DROP
		f.emit(ruleset.Deny, "", false)
	case 1: // NF_ACCEPT
		f.emit(ruleset.Accept, "", false)
	case unix.NFT_JUMP:
		f.emit(ruleset.Jump, target, false)
	case unix.NFT_GOTO:
		f.emit(ruleset.Goto, target, false)
	case unix.NFT_RETURN:
		f.emit(ruleset.Return, "", false)
	default:
		f.does("has a verdict that is not known")
	}
	f.ended = true
}

func (f *flowReader) bitwise(at attributes) {
	o := f.get(at[unix.NFTA_BITWISE_SREG])
	if number(at[bitwiseOp]) != 0 || o.masked || o.from == constant {
		o = f.made(o)
	}
	o.masked = true
	o.mask = parse(at[unix.NFTA_BITWISE_MASK])[unix.NFTA_DATA_VALUE]
	o.xor = parse(at[unix.NFTA_BITWISE_XOR])[unix.NFTA_DATA_VALUE]
	f.write(at[unix.NFTA_BITWISE_DREG], o, number(at[unix.NFTA_BITWISE_LEN]))
}

func (f *flowReader) meta(at attributes) {
	key := number(at[unix.NFTA_META_KEY])
	source, sets := at[unix.NFTA_META_SREG]
	switch {
	case !sets:
		f.write(at[unix.NFTA_META_DREG], operand{value: value{from: fromMeta, key: key}, varies: metaVaries(key)}, metaLength(key))
	case key == unix.NFT_META_NFTRACE:
		f.does("traces packets")
	default:
		f.sets(f.get(source))
	}
}

// sets reads that a mark or the like becomes what is in a register.
func (f *flowReader) sets(o operand) {
	if varies := f.variesAtAll(o); varies != "" {
		f.does("keeps " + varies)
		return
	}
	f.emit(ruleset.Continue, "", true)
}

// metaLength returns how many bytes a register then has.
func metaLength(key uint32) uint32 {
	switch key {
	case unix.NFT_META_IIFNAME, unix.NFT_META_OIFNAME, unix.NFT_META_BRI_IIFNAME, unix.NFT_META_BRI_OIFNAME,
		metaInKind, metaOutKind, metaSlaveName:
		return unix.IFNAMSIZ
	case metaTime:
		return 8
	}
	return 4
}

const (
	metaInKind    = 26 // NFT_META_IIFKIND
	metaOutKind   = 27
	metaTime      = 30 // NFT_META_TIME_NS
	metaDay       = 31
	metaHour      = 32
	metaSlaveName = 34 // NFT_META_SDIFNAME
)

// metaVaries says what may be another for each packet.
func metaVaries(key uint32) string {
	switch key {
	case unix.NFT_META_LEN:
		return "the packet's length"
	case unix.NFT_META_CPU:
		return "the processor"
	case unix.NFT_META_PRANDOM:
		return "a random number"
	case metaTime, metaDay, metaHour:
		return "the time"
	case unix.NFT_META_NFTRACE:
		return "whether the packet is traced"
	}
	if key > metaSlaveName {
		return "what is not known"
	}
	return ""
}

func (f *flowReader) ct(at attributes) {
	key := number(at[unix.NFTA_CT_KEY])
	if source, sets := at[unix.NFTA_CT_SREG]; sets {
		f.sets(f.get(source))
		return
	}
	o := operand{value: value{from: fromCT, key: key}}
	switch key {
	case unix.NFT_CT_EXPIRATION:
		o.varies = "when the connection expires"
	case unix.NFT_CT_PKTS, unix.NFT_CT_BYTES, unix.NFT_CT_AVGPKT:
		o.varies = "how much the connection has transferred"
	}
	length := uint32(4)
	if key > unix.NFT_CT_EXPIRATION && key != unix.NFT_CT_ZONE {
		length = 16
	}
	f.write(at[unix.NFTA_CT_DREG], o, length)
}
