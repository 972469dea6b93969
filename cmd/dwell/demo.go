// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/exporter/table"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

const (
	demoInterval = 10 * time.Millisecond
	// demoSample is of how many pings the one with the median round trip is shown.
	demoSample = 1000
)

// demo is one run of dwell demo.
type demo struct {
	exportFlags
	count    int
	prefix   string
	tenanted bool

	out, err io.Writer
	sample   []*trace.Trace
	table    *table.Table
	// tenants is nil without --tenants, and firewall if this host cannot have one, too.
	tenants  *demoTenants
	firewall *demoFirewall
	// fastPath is nil without --tenants, and if this host cannot have one.
	fastPath *demoFastPath
}

func newDemoCommand() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: trace pings through a virtual network",
		Long: `Create the lab's bridge topology, ping through it, and show where the time went: the
waterfall of the ping with the median round-trip time, and a table of the time that all
pings spent in each device. The network is made of namespaces and removed afterwards,
unless it was already up; the host's own network is not touched. Needs root.

With --tenants, the network is that of two tenants, red and blue, whose guests have the
same address. Both ping the outside at once, and red pings blue. What the operator sees of
such a ping is shown beside what red sees, or above it if the terminal is narrow. A firewall
rule of red's drops some of its pings, and none of blue's. At the end, the same ping of red's
without the fast path and by it, and what was saved at each device.`,
		Example: `  dwell demo
  dwell demo --tenants
  dwell demo --count 1000 --otlp-endpoint localhost:4317`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out, d.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().IntVarP(&d.count, "count", "c", 100, "number of pings to send, from each guest to each target")
	cmd.Flags().BoolVar(&d.tenanted, "tenants", false, "show what the operator and what one of two tenants sees")
	cmd.Flags().Var(newPrefixFlag(&d.prefix, lab.DefaultPrefix), "prefix", "prefix of the namespaces' names")
	d.register(cmd)
	return cmd
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.count < 1 {
		return fmt.Errorf("--count %d: must be at least 1", d.count)
	}
	if d.file == otlpfile.Stdout {
		return errors.New("--otlp-file -: dwell demo prints on standard output itself; name a file")
	}
	onResource, err := otlpOptions(ctx)
	if err := errors.Join(err, d.check(), privileges("dwell demo")); err != nil {
		return err
	}
	unlock, err := lockDemo(d.prefix)
	if err != nil {
		return err
	}
	defer unlock()
	l, down, err := d.lab(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, down()) }()
	defer func() { err = errors.Join(err, d.withoutFirewall(ctx)) }()
	summary, err := d.trace(ctx, l, onResource)
	if ctx.Err() != nil && err == nil {
		err = errors.New("interrupted")
	}
	if err != nil && summary.Pings() == 0 {
		return err
	}
	if d.tenanted && err == nil {
		d.fastPath = d.compareFastPath(ctx, l)
	}
	return errors.Join(err, d.show(summary, uint64(d.answers(l))))
}

// lab makes the topology, and returns what removes it again.
func (d *demo) lab(ctx context.Context) (*lab.Lab, func() error, error) {
	opts := lab.Options{Prefix: d.prefix}
	keep := false
	topology := "bridge"
	if d.tenanted {
		topology = "tenants"
	}
	if _, err := lab.Get(topology, opts); err == nil {
		keep = true // it is in use
	}
	l, err := lab.Up(ctx, topology, opts)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(d.err, "dwell: lab up: %s\n", l.Topology().Summary)
	return l, func() error {
		if keep {
			fmt.Fprintln(d.err, "dwell: lab left up, as it was")
			return nil
		}
		if err := l.Down(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("%w; dwell lab down removes what is left", err)
		}
		fmt.Fprintln(d.err, "dwell: lab down")
		return nil
	}, nil
}

// trace pings through the lab and traces that.
func (d *demo) trace(ctx context.Context, l *lab.Lab, onResource otlp.Options) (agent.Summary, error) {
	a, err := d.start(ctx, l, onResource)
	if err != nil {
		return agent.Summary{}, err
	}
	running, stop := context.WithCancel(ctx)
	pinging := make(chan error, 1)
	go func() {
		err := d.ping(running, l)
		if err != nil {
			stop()
		} else {
			// Wait for a lost reply, but not forever.
			time.AfterFunc(agent.DefaultTimeout+time.Second, stop)
		}
		pinging <- err
	}()
	summary, err := a.Run(running)
	stop()
	if pingErr := <-pinging; pingErr != nil && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("ping: %w", pingErr))
	}
	return summary, err
}

// start begins to trace.
func (d *demo) start(ctx context.Context, l *lab.Lab, onResource otlp.Options) (*agent.Agent, error) {
	d.table = table.New(0)
	opts := agent.Options{OnTrace: d.keep}
	if d.tenanted {
		var err error
		if d.tenants, err = newDemoTenants(l.Topology().Tenants()); err != nil {
			return nil, err
		}
		opts = agent.Options{Tenants: d.tenants.set, OnTraces: d.tenants.keep}
	}
	hypervisor, err := l.Open(lab.Hypervisor)
	if err != nil {
		return nil, err
	}
	defer hypervisor.Close()
	log := newLogger(d.err)
	if d.tenanted {
		d.withFirewall(ctx, l, log, &opts)
	}
	opts.Filter = bpf.Filter{NetNS: labInodes(l, l.Topology().Roles()...)}
	opts.Hypervisors = labInodes(l, lab.Hypervisor)
	opts.Netfilter = []*netns.NS{hypervisor}
	opts.WithoutNetfilter = func(err error) {
		log.Warn("netfilter chains are not timed: " + err.Error())
	}
	opts.OnRefused = func(err error) { logRefused(log, err) }
	opts.HostID = onResource.Host.ID
	opts.Count = uint64(d.pings(l))
	opts.Open = func() (agent.Sinks, error) {
		sinks, err := d.open(ctx, onResource, log)
		return agent.Sinks{Exporter: sinks}, err
	}
	return agent.Start(opts)
}

// withFirewall puts a rule of the first tenant in force and traces what it does. Where that cannot
// be, the demo goes on without.
func (d *demo) withFirewall(ctx context.Context, l *lab.Lab, log *slog.Logger, opts *agent.Options) {
	f, err := newDemoFirewall(ctx, d.prefix, l, d.tenants.set, log)
	if err != nil {
		log.Warn("no tenant has a firewall: " + err.Error())
		return
	}
	d.firewall = f
	opts.Firewall = f.traced
	opts.WithoutFirewall = func(err error) { log.Warn("traces do not say what the firewall does: " + err.Error()) }
	opts.OnTrace = f.keep
}

// withoutFirewall takes the rule out of force.
func (d *demo) withoutFirewall(ctx context.Context) error {
	if d.firewall == nil {
		return nil
	}
	return d.firewall.close(ctx)
}

// sending is one ping of the lab, and how often.
type sending struct {
	lab.Ping
	count int
}

// sendings returns what is pinged.
func (d *demo) sendings(l *lab.Lab) []sending {
	var all []sending
	for _, p := range l.Topology().Pings() {
		all = append(all, sending{p, d.count})
	}
	if d.firewall != nil {
		for _, p := range d.firewall.pings() {
			all = append(all, sending{p, demoTries})
		}
	}
	return all
}

// answers returns how many replies are to come.
func (d *demo) answers(l *lab.Lab) int {
	if d.firewall != nil {
		return d.pings(l) - demoTries
	}
	return d.pings(l)
}

// pings returns how many pings are sent in all.
func (d *demo) pings(l *lab.Lab) int {
	n := 0
	for _, s := range d.sendings(l) {
		n += s.count
	}
	return n
}

func labInodes(l *lab.Lab, roles ...string) []uint32 {
	var inodes []uint32
	for _, role := range roles {
		inode, _ := l.NetNS(role)
		inodes = append(inodes, inode)
	}
	return inodes
}

// ping sends the pings from every guest at once.
func (d *demo) ping(ctx context.Context, l *lab.Lab) error {
	p := newProgress(d.err, "pings", d.answers(l))
	defer p.done()
	replies, sent := make(chan struct{}), make(chan error)
	all := d.sendings(l)
	for _, ping := range all {
		go func() { sent <- d.pingFrom(ctx, l, ping, func(pinger.Echo) { replies <- struct{}{} }) }()
	}
	var errs []error
	for left := len(all); left > 0; {
		select {
		case <-replies:
			p.step()
		case err := <-sent:
			errs = append(errs, err)
			left--
		}
	}
	return errors.Join(errs...)
}

func (d *demo) pingFrom(ctx context.Context, l *lab.Lab, p sending, onReply func(pinger.Echo)) error {
	ns, err := l.Open(p.From)
	if err != nil {
		return err
	}
	defer ns.Close()
	_, err = pinger.Run(ctx, pinger.Config{
		NetNS: ns, Target: p.To, Count: p.count, Interval: demoInterval, OnReply: onReply,
	})
	return err
}

// keep takes a trace into the table and the sample.
func (d *demo) keep(t *trace.Trace) {
	// A table takes everything.
	_ = d.table.Export(context.Background(), []*trace.Trace{t})
	if len(d.sample) < demoSample && t.Outcome == trace.Complete {
		d.sample = append(d.sample, t)
	}
}

// show prints what was seen, and the summary. A reader that stops early (dwell demo | head)
// is not an error.
func (d *demo) show(summary agent.Summary, pings uint64) error {
	write := d.print
	if d.tenanted {
		write = func() error { return d.showTenants(waterfallOptions(d.out)) }
	}
	err := unlessSeenEnough(write())
	fmt.Fprintln(d.err, "dwell:", summary)
	if d.tenanted {
		fmt.Fprintln(d.err, "dwell:", d.tenants)
	}
	if d.firewall != nil {
		err = errors.Join(err, d.firewall.check())
	}
	if summary.Complete != pings {
		err = errors.Join(err, fmt.Errorf("%d of %d pings were traced completely", summary.Complete, pings))
	}
	return err
}

// showTenants prints what tenants see, what the rule of one does, and what its fast path saves.
func (d *demo) showTenants(o waterfall.Options) error {
	err := d.tenants.write(d.out, o)
	if err == nil && d.firewall != nil {
		err = d.firewall.write(d.out, o)
	}
	if err == nil && d.fastPath != nil {
		err = d.fastPath.write(d.out, o)
	}
	return err
}

// print prints the waterfall and the table.
func (d *demo) print() error {
	opts := waterfallOptions(d.out)
	if len(d.sample) > 0 {
		if err := waterfall.Write(d.out, median(d.sample), opts); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(d.out); err != nil {
			return err
		}
	}
	return d.table.Write(d.out, table.Options{ASCII: opts.ASCII})
}

// median returns the trace with the median round trip, of an even number the shorter of
// the two in the middle, so that it is one that was measured.
func median(traces []*trace.Trace) *trace.Trace {
	sorted := slices.SortedFunc(slices.Values(traces), func(a, b *trace.Trace) int {
		first, _ := a.RTT()
		second, _ := b.RTT()
		return cmp.Compare(first, second)
	})
	return sorted[(len(sorted)-1)/2]
}
