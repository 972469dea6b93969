// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// BenchmarkPrograms measures the programs in the kernel, less what it costs to run an empty one.
// The kernel repeats them; the time of the CPU is ns/run, whatever else the machine does. Run it
// with -benchtime 1000000x.
func BenchmarkPrograms(b *testing.B) {
	l := newLab(b)
	d := l.attached()
	udp, tcp, ping, other := guestFrame(), guestFrame(), guestFrame(), guestFrame()
	tcp.proto, ping.proto, other.mac = header.TCP, header.ICMP, []byte{2, 0, 0, 0, 9, 9}
	udp6 := guestFrame6()
	var rules []ruleset.Rule
	for i := range uint32(1000) {
		rules = append(rules, rule(i+1, ruleset.Deny, header.Dport, 3000+2*i, 3000+2*i))
	}
	many := compile(b, header.V4, diagram.Options{Stateless: true}, ruleset.Pass, rules...)
	manyForward := compile(b, header.V4, diagram.Options{}, ruleset.Pass, rules...)
	for _, bb := range []struct {
		name, program string
		g             Generation
		packet        frame
	}{
		{"TC/pass", plainProgIngress, everywhere(always(ruleset.Pass)), udp},
		{"TC/pass/IPv6", plainProgIngress, everywhere(always(ruleset.Pass)), udp6},
		{"TC/pass/1000 rules", plainProgIngress, Generation{Ingress4: many}, udp},
		{"TC/bridged", plainProgIngress, everywhere(always(ruleset.Pass)), other},
		{"TC/defer", plainProgIngress, everywhere(always(ruleset.Defer)), udp},
		{"TC/drop UDP", plainProgIngress, everywhere(always(ruleset.Drop)), udp},
		{"TC/drop TCP", plainProgIngress, everywhere(always(ruleset.Drop)), tcp},
		{"TC/drop ping", plainProgIngress, everywhere(always(ruleset.Drop)), ping},
		{"FORWARD/pass", plainProgFromPass, everywhere(always(ruleset.Pass)), udp},
		{"FORWARD/pass/1000 rules", plainProgFromPass, Generation{Forward4: manyForward}, udp},
		{"FORWARD/no match", plainProgFromDrop, everywhere(always(ruleset.Pass)), udp},
		{"FORWARD/no tag", plainProgFromTagged, everywhere(always(ruleset.Pass)), udp},
	} {
		b.Run(bb.name, func(b *testing.B) {
			swap(b, d, bb.g)
			p := d.programs[bb.program]
			empty := l.repeated(l.empty(p.Type()), bb.packet.bytes(), b.N)
			b.ResetTimer()
			ns := l.repeated(p, bb.packet.bytes(), b.N)
			b.ReportMetric(ns-empty, "ns/run")
			b.ReportMetric(empty, "ns/empty")
		})
	}
}

// empty returns a program that does nothing.
func (l *lab) empty(kind ebpf.ProgramType) *ebpf.Program {
	l.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { p.Close() })
	return p
}

// repeated returns the mean time of a run, in nanoseconds.
func (l *lab) repeated(p *ebpf.Program, packet []byte, n int) float64 {
	l.t.Helper()
	var per float64
	l.in(l.host, func() error {
		o := ebpf.RunOptions{Data: packet, Repeat: uint32(n)}
		if p.Type() == ebpf.SchedCLS {
			o.Context = skb{Ifindex: uint32(l.port.Index)}
		}
		before, err := threadTime()
		if err != nil {
			return err
		}
		if _, err := p.Run(&o); err != nil {
			return err
		}
		after, err := threadTime()
		per = float64(after-before) / float64(n)
		return err
	})
	return per
}

// threadTime returns the CPU time of this thread, in nanoseconds.
func threadTime() (int64, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano(), err
}
