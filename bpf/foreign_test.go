// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// emptyProgram is attached to a tracepoint and does nothing.
func emptyProgram(b *testing.B, tracepoint string) *ebpf.Program {
	b.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: tracepoint, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return p
}

// spent returns the time that a program has run, and how often.
func spent(b *testing.B, p *ebpf.Program) (time.Duration, uint64) {
	b.Helper()
	s, err := p.Stats()
	if err != nil {
		b.Fatal(err)
	}
	return s.Runtime, s.RunCount
}

// datagrams sends to a port that a goroutine reads, of an address of another namespace.
func (n *namespace) datagrams(to *namespace, addr string, count int) {
	n.t.Helper()
	var in net.PacketConn
	var out net.Conn
	to.do(func() {
		var err error
		in, err = net.ListenPacket("udp", net.JoinHostPort(addr, "9"))
		to.must("listen", err)
	})
	n.do(func() {
		var err error
		out, err = net.Dial("udp", net.JoinHostPort(addr, "9"))
		n.must("dial", err)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 2000); ; {
			if _, _, err := in.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	for range count {
		if _, err := out.Write(make([]byte, 1000)); err != nil && !errors.Is(err, unix.ENOBUFS) {
			n.t.Fatal(err)
		}
	}
	in.Close()
	out.Close()
	<-done
}

// BenchmarkForeign measures what each program takes for a packet that is not an echo, more
// than an empty program at the same hook takes: ns/hook, and over all hooks. The kernel's own
// clock is in both.
func BenchmarkForeign(b *testing.B) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skip(err) // Linux 5.8
	}
	defer stats.Close()
	for _, tt := range []struct{ name, to string }{{"IPv4", "192.0.2.2"}, {"IPv6", "2001:db8::2"}} {
		b.Run(tt.name, func(b *testing.B) {
			one, two := twoHosts(b)
			r := record(b, Options{RingBytes: 1}, one, two)
			var empty []*ebpf.Program
			hooks := attachOrder(r.tracer.hooks)
			for _, hook := range hooks {
				empty = append(empty, emptyProgram(b, hook.Name))
			}
			one.datagrams(two, tt.to, b.N)
			var all, allEmpty float64
			for i, hook := range hooks {
				ours, n := spent(b, r.tracer.objs.tracepoints[i])
				theirs, _ := spent(b, empty[i])
				if n < uint64(b.N) {
					continue
				}
				all += float64(ours) / float64(n)
				allEmpty += float64(theirs) / float64(n)
				b.ReportMetric(float64(ours-theirs)/float64(n), hook.Name+"-ns")
			}
			b.ReportMetric(all-allEmpty, "ns/packet")
		})
	}
}
