// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/binary"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// ruleKey is a tenant's number and that of a rule of its firewall.
type ruleKey struct{ tenant, id uint32 }

// judged names rules of firewalls to the correlator; its answers are counted and recorded.
type judged struct {
	correlate.Rules
	w *Writer
}

// Rule implements [correlate.Rules].
func (j judged) Rule(tenant, id uint32) trace.Rule {
	r := j.Rules.Rule(tenant, id)
	j.w.names.questions++
	j.w.ruleIs(j.w.names.questions, ruleKey{tenant, id}, r)
	return r
}

// Reason implements [correlate.Rules].
func (j judged) Reason(code uint16) string {
	name := j.Rules.Reason(code)
	j.w.names.questions++
	j.w.reasonWordIs(opVerdictReasonIs, j.w.names.verdictReasons, code, name)
	return name
}

// ruleIs records an answer, if it is a new one.
func (w *Writer) ruleIs(question uint64, k ruleKey, r trace.Rule) {
	if old, ok := w.names.rules[k]; ok && old == r {
		return
	}
	remember(w.names.rules, k, r)
	w.settle()
	w.chunk = append(w.chunk, byte(opRuleIs))
	for _, n := range [...]uint64{question, uint64(k.tenant), uint64(k.id), uint64(r.Number)} {
		w.chunk = binary.AppendUvarint(w.chunk, n)
	}
	for _, s := range [...]string{r.Tenant, r.Chain, r.UUID, r.Text} {
		w.chunk = appendString(w.chunk, s)
	}
	w.sealIfFull()
}

// reasonWordIs records the answer to the last question, if it is a new one.
func (w *Writer) reasonWordIs(op opcode, answers map[uint16]string, code uint16, name string) {
	if old, ok := answers[code]; ok && old == name {
		return
	}
	remember(answers, code, name)
	w.settle()
	w.chunk = binary.AppendUvarint(append(w.chunk, byte(op)), w.names.questions)
	w.chunk = appendString(binary.AppendUvarint(w.chunk, uint64(code)), name)
	w.sealIfFull()
}

// hastened names reasons of the fast path to the correlator; its answers are counted and recorded.
type hastened struct {
	correlate.FastPath
	w *Writer
}

// FastPathReason implements [correlate.FastPath].
func (h hastened) FastPathReason(code uint16) string {
	name := h.FastPath.FastPathReason(code)
	h.w.names.questions++
	h.w.reasonWordIs(opFastPathReasonIs, h.w.names.fastPathReasons, code, name)
	return name
}

// nextRule decodes the fields of an opRuleIs after the question.
func (d *decoder) nextRule() (k ruleKey, r trace.Rule) {
	k = ruleKey{d.uint32(), d.uint32()}
	r.Number = d.uint32()
	r.Tenant, r.Chain, r.UUID, r.Text = d.string(), d.string(), d.string(), d.string()
	return k, r
}

// ruleNames answers as the recorded rules did.
type ruleNames struct{ *names }

// Rule implements [correlate.Rules].
func (n ruleNames) Rule(tenant, id uint32) trace.Rule {
	n.ask()
	k := ruleKey{tenant, id}
	if _, known := n.rules[k]; !known {
		n.settle()
	}
	return n.rules[k]
}

// Reason implements [correlate.Rules].
func (n ruleNames) Reason(code uint16) string { return n.word(n.verdictReasons, code) }

// FastPathReason implements [correlate.FastPath].
func (n ruleNames) FastPathReason(code uint16) string { return n.word(n.fastPathReasons, code) }

// word answers the next question.
func (n *names) word(answers map[uint16]string, code uint16) string {
	n.ask()
	if _, known := answers[code]; !known {
		n.settle()
	}
	return answers[code]
}
