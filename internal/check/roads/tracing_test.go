// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/agent"
)

// tracing is an agent that runs and writes an OTLP file.
type tracing struct {
	path   string
	agent  *agent.Agent
	cancel context.CancelFunc
	done   chan struct{}
	// summary and err are valid when done is closed, and so are events.
	summary agent.Summary
	err     error
	events  []event.Event

	mu   sync.Mutex
	seen map[ping]int
	// news is closed and replaced with each trace.
	news chan struct{}
}

// tracesFile is the name of the file.
const tracesFile = "traces.jsonl"

// kernelTypes are read once for all roads: in an emulated machine that takes as long as one.
var kernelTypes = btf.NewCache()

// startTracing starts an agent that writes to a file in dir.
func startTracing(dir string, opts agent.Options) (*tracing, error) {
	t := &tracing{
		path: filepath.Join(dir, tracesFile), done: make(chan struct{}),
		seen: map[ping]int{}, news: make(chan struct{}),
	}
	if opts.HostID == "" {
		opts.HostID = "roads"
	}
	opts.OnTrace = t.take
	opts.WithoutNetfilter = func(error) {} // not before Linux 6.4, and nothing here is about it
	opts.OnEvent = t.keep
	opts.Open = func() (agent.Sinks, error) {
		e, err := otlpfile.New(otlpfile.Options{
			Path: t.path, OTLP: otlp.Options{Host: otlp.Host{ID: opts.HostID, Name: opts.HostID}},
		})
		return agent.Sinks{Exporter: e}, err
	}
	opts.BPF.Types = kernelTypes
	a, err := agent.Start(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.agent, t.cancel = a, cancel
	go func() {
		defer close(t.done)
		t.summary, t.err = a.Run(ctx)
	}()
	return t, nil
}

// maxKept bounds the events that are kept for the log of a failure.
const maxKept = 50_000

func (t *tracing) keep(e *event.Event) {
	if len(t.events) < maxKept {
		t.events = append(t.events, *e)
	}
}

func (t *tracing) take(tr *trace.Trace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[ping{tr.Ping.ID, int(tr.Ping.Seq), tr.Ping.Dst}]++
	close(t.news)
	t.news = make(chan struct{})
}

// await waits until there is a trace of each ping, for limit at most. What is missing
// then, the judge says.
func (t *tracing) await(all []ping, limit time.Duration) {
	deadline := time.After(limit)
	for {
		t.mu.Lock()
		missing := slices.ContainsFunc(all, func(p ping) bool { return t.seen[p] == 0 })
		news := t.news
		t.mu.Unlock()
		if !missing {
			return
		}
		select {
		case <-news:
		case <-deadline:
			return
		}
	}
}

// stop ends the agent and reads the file.
func (t *tracing) stop() ([]*tree, error) {
	t.cancel()
	<-t.done
	if t.err != nil {
		return nil, t.err
	}
	if lost := t.summary.Lost(); lost > 0 {
		return nil, fmt.Errorf("%d events were lost", lost)
	}
	spans, err := readSpans(t.path)
	return trees(spans), err
}

// list writes the events of the pings with an identifier in the namespaces of a road, up
// to some number, one on each line.
func (t *tracing) list(w *world, id uint16, limit int) string {
	inodes := map[uint32]string{}
	for role, s := range w.spaces {
		inodes[s.Inode()] = role
	}
	var mine []*event.Event
	for i := range t.events {
		e := &t.events[i]
		if _, ours := inodes[e.NetNS]; ours && e.ID == id {
			mine = append(mine, e)
		}
	}
	slices.SortStableFunc(mine, func(a, b *event.Event) int { return int(int64(a.Time - b.Time)) })
	var b strings.Builder
	for _, e := range mine[:min(limit, len(mine))] {
		b.WriteString(line(e, mine[0], inodes[e.NetNS], t.agent.Resolver()))
	}
	return b.String()
}

func line(e, first *event.Event, role string, names correlate.Resolver) string {
	device := "-"
	if e.IfIndex != 0 {
		device = names.Device(e.NetNS, e.IfIndex).Name
	}
	s := fmt.Sprintf("%9d ns cpu%d %-26s [%s] %-8s %-7s seq %d %s -> %s skb %x flags %04x ttl %d len %d",
		e.Time-first.Time, e.CPU, e.Hook, role, device, e.Type, e.Seq, e.Src.Addr(), e.Dst.Addr(),
		e.SKB, uint16(e.Flags), e.TTL, e.PayloadLen)
	if e.Code != 0 {
		s += fmt.Sprintf(" code %d", e.Code)
	}
	if e.Hook == event.KfreeSKB {
		s += " " + names.DropReason(e.Code)
	}
	for _, t := range e.Tunnels[:min(int(e.Depth), event.MaxTunnels)] {
		s += fmt.Sprintf(" in %s %d %s -> %s", t.Type, t.ID, t.Src.Addr(), t.Dst.Addr())
	}
	return s + "\n"
}
