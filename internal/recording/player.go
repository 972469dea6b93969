// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// player plays records to a correlator.
type player struct {
	correlator *correlate.Correlator
	names      *names
	sink       Sink
	batch      []*trace.Trace
	// leftOut are the traces of the batch that are not sent on.
	leftOut map[*trace.Trace]bool
	// offset is the last one to the wall clock.
	offset  int64
	renewer renewer
	summary Summary
}

func newPlayer(version int, h Header, opts correlate.Options, sink Sink) *player {
	p := &player{names: newNames(), sink: sink, offset: h.Offset, leftOut: map[*trace.Trace]bool{}}
	opts.Resolver = p.names
	if version > 4 { // a correlator of before did not ask
		opts.Rules = ruleNames{p.names}
	}
	if version > 5 {
		opts.FastPath = ruleNames{p.names}
	}
	if h.Correlator.AwaitsNames {
		opts.Named = p.names.isNamed
	}
	opts.Emit = func(t *trace.Trace) { p.batch = append(p.batch, t) }
	p.correlator = correlate.New(opts)
	return p
}

// play plays the records of a chunk. Its error is the sink's; the decoder has its own.
func (p *player) play(d *decoder) error {
	for d.more() {
		op := opcode(d.byte())
		switch {
		case op >= opNetNS && op <= opReasonIs, op >= opRuleIs && op <= opFastPathReasonIs, op == opNamedIs:
			p.name(op, d)
		case op == opEvent:
			if err := p.event(d); err != nil {
				return err
			}
		case op == opSend:
			if err := p.sent(d); err != nil {
				return err
			}
		case op == opLeaveOut:
			p.leaveOut(d)
		case op == opThreshold:
			p.threshold(d)
		default:
			p.call(op, d)
		}
	}
	return nil
}

// finished reads which trace of the batch is meant. In a recording of an older format it may be one
// that this dwell finishes at another time, or not as one; then it is nil.
func (p *player) finished(d *decoder) *trace.Trace {
	switch i := d.uvarint(); {
	case d.failed():
	case i < uint64(len(p.batch)):
		return p.batch[i]
	case d.version == Format:
		d.fail(fmt.Errorf("trace %d of %d", i, len(p.batch)))
	}
	return nil
}

// leaveOut plays a call of LeaveOut.
func (p *player) leaveOut(d *decoder) {
	if t := p.finished(d); t != nil {
		p.leftOut[t] = true
	}
}

// threshold plays a call of SetThreshold.
func (p *player) threshold(d *decoder) {
	t, threshold := p.finished(d), d.uvarint()
	if t != nil && !d.failed() {
		t.Threshold = threshold
	}
}

// event plays a call of Add.
func (p *player) event(d *decoder) error {
	ev := d.nextEvent()
	if d.failed() {
		return nil
	}
	if d.version <= 2 {
		ev = p.renewer.renew(ev)
	}
	p.summary.Events++
	var err error
	if p.sink.Event != nil {
		err = p.sink.Event(ev, p.names.current())
	}
	p.correlator.Add(ev)
	p.names.settle()
	return err
}

// call plays another call of the correlator.
func (p *player) call(op opcode, d *decoder) {
	switch op {
	case opLost:
		if from, to := d.uvarint(), d.uvarint(); d.err == nil {
			p.correlator.Lost(from, to)
		}
	case opAdvance:
		if now := d.uvarint(); d.err == nil {
			p.correlator.Advance(now)
		}
	case opFlush:
		p.correlator.Flush()
	default:
		d.fail(fmt.Errorf("a record of kind %d", op))
	}
	p.names.settle()
}

// sent plays a call of Send.
func (p *player) sent(d *decoder) error {
	offset, withheld := d.varint(), d.uvarint()
	if d.failed() {
		return nil
	}
	return p.send(offset, withheld)
}

// send sends the finished traces on, but for the last withheld and those left out.
func (p *player) send(offset int64, withheld uint64) error {
	p.offset = offset
	n := uint64(len(p.batch))
	batch := p.batch[:n-min(withheld, n)]
	p.batch = nil
	if len(p.leftOut) > 0 {
		batch = slices.DeleteFunc(batch, func(t *trace.Trace) bool { return p.leftOut[t] })
		clear(p.leftOut)
	}
	for _, t := range batch {
		t.Rebase(offset)
	}
	p.summary.Traces += uint64(len(batch))
	if len(batch) == 0 || p.sink.Traces == nil {
		return nil
	}
	return p.sink.Traces(batch)
}

// name plays what was said of names.
func (p *player) name(op opcode, d *decoder) {
	n := p.names
	switch op {
	case opNetNS:
		n.namespaces = append(n.namespaces, d.nextNetNS())
	case opDevice:
		n.devices = append(n.devices, d.nextDevice(pick(d, n.namespaces)))
	case opNetNSIs:
		question, inode, ns := d.uvarint(), d.uint32(), pick(d, n.namespaces)
		n.learn(question, func() { n.netns[inode] = ns })
	case opDeviceIs:
		question, k := d.uvarint(), deviceKey{d.uint32(), d.uint32()}
		dev := pick(d, n.devices)
		n.learn(question, func() { n.device[k] = dev })
	case opReasonIs:
		question, code, name := d.uvarint(), d.uint32(), d.string()
		n.learn(question, func() { n.reasons[code] = name })
	case opNamedIs:
		question, k, named := d.uvarint(), deviceKey{d.uint32(), d.uint32()}, d.upTo(1) == 1
		n.learn(question, func() { n.named[k] = named })
	case opRuleIs:
		question := d.uvarint()
		k, r := d.nextRule()
		n.learn(question, func() { n.rules[k] = r })
	case opVerdictReasonIs:
		question, code, name := d.uvarint(), d.uint16(), d.string()
		n.learn(question, func() { n.verdictReasons[code] = name })
	case opFastPathReasonIs:
		question, code, name := d.uvarint(), d.uint16(), d.string()
		n.learn(question, func() { n.fastPathReasons[code] = name })
	}
}

// pick returns what was defined under the next number, or nil for number 0.
func pick[T any](d *decoder, defined []*T) *T {
	i := d.upTo(uint64(len(defined)))
	if i == 0 {
		return nil
	}
	return defined[i-1]
}

var _ correlate.Resolver = (*names)(nil)

var _ interface {
	Add(*event.Event)
	Lost(from, to uint64)
	Advance(now uint64)
	Flush()
} = (*Correlator)(nil)
