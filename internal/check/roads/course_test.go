// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/agent"
)

// course is one run of one road.
type course struct {
	*road
	dir  string
	w    *world
	sent []*sent
	// absent is set if the kernel lacks what the road needs, and err is why it could not be
	// built or run.
	absent bool
	err    error
	judge  *judge
	// listing is the events of the first pings, for the log of a failure.
	listing string
	// ids gives out identifiers, so that no two pings on the machine have the same.
	ids *atomic.Uint32
}

// traceTimeout is how long an agent waits for a reply. It is short, because the test waits
// for pings that are never answered. In an emulated machine, for which the tests are run
// with -test.short, a process may need longer to read its reply.
func traceTimeout() time.Duration {
	if testing.Short() {
		return 8 * time.Second
	}
	return 1500 * time.Millisecond
}

// patience is how much longer a trace may take on a busy or emulated machine.
const patience = time.Minute

// build builds the road.
func (c *course) build(ctx context.Context) {
	for _, module := range c.needs {
		// If there is no such command or module, the kernel may have it built in, and
		// otherwise says so.
		exec.CommandContext(ctx, "modprobe", "-q", module).Run()
	}
	c.w, c.err = build(ctx, c.name, c.setup)
	if c.err != nil && absent(c.err) {
		c.absent = true
	}
}

// drive sends the road's pings.
func (c *course) drive() { c.driveAs(func() uint16 { return uint16(c.ids.Add(1)) }) }

// driveAs sends the road's pings with identifiers of the caller's.
func (c *course) driveAs(id func() uint16) {
	for _, p := range c.pings {
		s := &sent{traffic: p, id: id(), at: time.Now()}
		c.sent = append(c.sent, s)
		send := p.send
		if send == nil {
			send = iputils
		}
		s.answers, s.err = send(c.w, c.w.at(p.from), netip.MustParseAddr(p.to), s.id, p.count())
	}
}

// expected lists the pings of which there must be traces.
func (c *course) expected() []ping {
	var all []ping
	for _, s := range c.sent {
		for seq := 1; seq <= s.count(); seq++ {
			all = append(all, ping{s.id, seq, netip.MustParseAddr(s.to)})
		}
	}
	return all
}

// judged holds the traces against what is right.
func (c *course) judged(t *tracing, all []*tree, pairs map[[2]end]bool) {
	c.judge = newJudge(c.w, c.sent)
	c.judge.judge(all, pairs)
	if len(c.judge.faults) > 0 && t != nil {
		for _, s := range c.sent {
			c.listing += "identifier " + netip.MustParseAddr(s.to).String() + "\n" + t.list(c.w, s.id, 120)
		}
	}
}

// alone runs a road with an agent of its own.
func (c *course) alone() {
	opts := agent.Options{Timeout: traceTimeout()}
	c.own(c.w, &opts)
	t, err := startTracing(c.dir, opts)
	if err != nil {
		c.err = err
		return
	}
	c.drive()
	t.await(c.expected(), traceTimeout()+patience)
	c.conclude(t, t.stop)
}

// conclude reads the traces while the road is still there.
func (c *course) conclude(t *tracing, stop func() ([]*tree, error)) {
	pairs, err := c.w.peers()
	if err != nil {
		c.err = err
		return
	}
	all, err := stop()
	if err != nil {
		c.err = err
		return
	}
	c.judged(t, all, pairs)
}

// limited runs a function for each course, a few at a time.
func limited(all []*course, at int, fn func(*course)) {
	var wg sync.WaitGroup
	room := make(chan struct{}, at)
	for _, c := range all {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			fn(c)
		})
	}
	wg.Wait()
}

// together runs roads side by side with one agent, in whose eyes every namespace with the
// role "hv" is a hypervisor.
func together(t *testing.T, all []*course) {
	opts := agent.Options{Timeout: traceTimeout()}
	for _, c := range all {
		for role, s := range c.w.spaces {
			if strings.HasPrefix(role, "hv") {
				opts.Hypervisors = append(opts.Hypervisors, s.Inode())
			}
		}
	}
	if len(opts.Hypervisors) == 0 {
		opts.Hypervisors = []uint32{1} // none: a number that no namespace has
	}
	tr, err := startTracing(t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	limited(all, 4, (*course).drive)
	var expected []ping
	for _, c := range all {
		expected = append(expected, c.expected()...)
	}
	tr.await(expected, traceTimeout()+patience)
	var once sync.Once
	var trees []*tree
	limited(all, 1, func(c *course) {
		c.conclude(tr, func() ([]*tree, error) {
			var err error
			once.Do(func() { trees, err = tr.stop() })
			return trees, err
		})
	})
	t.Log(tr.summary)
}
