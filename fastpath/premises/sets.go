// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"bytes"
	"slices"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes and flags of sets that the library has no names for.
const (
	setExpr         = 17
	setExpressions  = 18
	setElemFlags    = 3
	setAnonymous    = 0x1
	setConcat       = 0x80
	elemIntervalEnd = 0x1
	elemCatchAll    = 0x2
	dynsetExpr      = 7
	dynsetExprs     = 10
)

// maxAnonymous is how many sets without a name are read, and maxElements how many elements of one: those that a
// rule brings with it. What is in others changes without the rules being changed.
const (
	maxAnonymous = 1000
	maxElements  = 64
)

// nftSet is a set, or a map, of nf_tables.
type nftSet struct {
	flags uint32
	// does is something that happens to each packet that is looked up, or "".
	does string
	// elements are known of a set that a rule brings with it.
	known    bool
	elements []element
}

// element is keys from lo to hi, and what a map of verdicts says of them.
type element struct {
	lo, hi  []byte
	all     bool // whatever is in no other
	verdict attributes
}

// readSets returns the sets by table and name.
func readSets(conn *mdl.Conn) (map[string]map[string]*nftSet, error) {
	answers, err := ask(conn, unix.NFT_MSG_GETSET, mdl.Dump)
	if err != nil {
		return nil, err
	}
	sets := map[string]map[string]*nftSet{}
	anonymous := 0
	for _, a := range answers {
		at := parse(a.attrs)
		s := &nftSet{flags: number(at[unix.NFTA_SET_FLAGS])}
		s.expressions(at[setExpr], at[setExpressions])
		table := tableName(a.family, text(at[unix.NFTA_SET_TABLE]))
		if sets[table] == nil {
			sets[table] = map[string]*nftSet{}
		}
		sets[table][text(at[unix.NFTA_SET_NAME])] = s
		if s.flags&setAnonymous == 0 || s.flags&setConcat != 0 {
			continue
		}
		if anonymous++; anonymous > maxAnonymous {
			continue
		}
		if err := s.read(conn, a.family, at[unix.NFTA_SET_TABLE], at[unix.NFTA_SET_NAME]); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// expressions notes what happens to packets that are looked up.
func (s *nftSet) expressions(one, several []byte) {
	all := [][]byte{}
	if one != nil {
		all = append(all, one)
	}
	for _, e := range list(several) {
		all = append(all, e.data)
	}
	for _, e := range all {
		if name := text(parse(e)[unix.NFTA_EXPR_NAME]); name != "counter" && name != "last" {
			s.does = "uses a set that has " + name
		}
	}
}

// read reads the elements.
func (s *nftSet) read(conn *mdl.Conn, family byte, table, name []byte) error {
	enc := mdl.NewAttributeEncoder()
	enc.Bytes(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	enc.Bytes(unix.NFTA_SET_ELEM_LIST_SET, name)
	body, err := enc.Encode()
	if err != nil {
		return err
	}
	answers, err := request(conn, unix.NFT_MSG_GETSETELEM, mdl.Dump, family, body)
	if err != nil {
		return err
	}
	var read []element
	var ends []bool
	for _, a := range answers {
		for _, e := range list(parse(a.attrs)[unix.NFTA_SET_ELEM_LIST_ELEMENTS]) {
			at := parse(e.data)
			flags := number(at[setElemFlags])
			key := parse(at[unix.NFTA_SET_ELEM_KEY])[unix.NFTA_DATA_VALUE]
			read = append(read, element{
				lo: key, hi: key, all: flags&elemCatchAll != 0, verdict: parse(parse(at[unix.NFTA_SET_ELEM_DATA])[unix.NFTA_DATA_VERDICT]),
			})
			ends = append(ends, flags&elemIntervalEnd != 0)
			s.expressions(at[unix.NFTA_SET_ELEM_EXPR], nil)
		}
	}
	if s.known = len(read) <= maxElements; s.known {
		s.elements = ranges(read, ends, s.flags&unix.NFT_SET_INTERVAL != 0)
	}
	return nil
}

// ranges returns what is read without its ends. In a set of intervals each goes to before where the next begins or it
// ends.
func ranges(read []element, ends []bool, intervals bool) []element {
	if !intervals {
		return read
	}
	order := make([]int, len(read))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(read[a].lo, read[b].lo) })
	var out []element
	for _, i := range order {
		e := read[i]
		if ends[i] {
			continue
		}
		if !e.all {
			e.hi = bytes.Repeat([]byte{0xff}, len(e.lo))
			for _, next := range order {
				if bytes.Compare(read[next].lo, e.lo) > 0 && !read[next].all {
					e.hi = oneLess(read[next].lo)
					break
				}
			}
		}
		out = append(out, e)
	}
	return out
}

// oneLess returns the number that is one less.
func oneLess(key []byte) []byte {
	out := bytes.Clone(key)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]--
		if out[i] != 0xff {
			break
		}
	}
	return out
}

// noteDynamic notes what rules add to sets that happens to packets that are looked up there.
func noteDynamic(chains []*chain, sets map[string]map[string]*nftSet) {
	for _, c := range chains {
		for _, r := range c.rules {
			r.tableSets = sets[c.table]
			for _, e := range r.nft {
				at := parse(e.data)
				if text(at[unix.NFTA_EXPR_NAME]) != "dynset" {
					continue
				}
				data := parse(at[unix.NFTA_EXPR_DATA])
				if s := r.tableSets[text(data[unix.NFTA_DYNSET_SET_NAME])]; s != nil {
					s.expressions(data[dynsetExpr], data[dynsetExprs])
				}
			}
		}
	}
}
