// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/notify"
	"github.com/dwelltrace/dwell/internal/netns"
)

// pollInterval is how often it is checked what the kernel does not announce.
const pollInterval = time.Second

// Watch calls changed after the rules of others may have changed, also dwell's own, until ctx is
// done. It does so from one goroutine, once at first when nothing that happens after it can be
// missed. Rules of legacy iptables, settings, and programs of BPF at netfilter's hooks are compared every
// second, because the kernel does not announce them.
func Watch(ctx context.Context, ns *netns.NS, changed func()) error {
	rules, err := notify.Open(ns, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return fmt.Errorf("nf_tables: %w", err)
	}
	routing, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return errors.Join(err, rules.Close())
	}
	routes, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return errors.Join(err, rules.Close(), routing.Close())
	}
	p := &poll{ns: ns, news: make(chan struct{}, 1), prints: NewFingerprints(ns)}
	defer p.prints.Close()
	if err := p.look(); err != nil {
		return errors.Join(err, rules.Close(), routing.Close(), routes.Close())
	}
	p.tell()
	wanted := func(message []byte) bool { return p.reversed.Load() || tellsMTU(message) }
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return rules.Run(ctx, p.tell) })
	g.Go(func() error { return routing.Run(ctx, p.tell) })
	g.Go(func() error { return routes.RunIf(ctx, wanted, p.tell) })
	g.Go(func() error { return p.run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-p.news:
				changed()
			}
		}
	})
	return g.Wait()
}

// poll compares what is not announced.
type poll struct {
	ns   *netns.NS
	news chan struct{}
	// print is what was there when it was looked last.
	prints *Fingerprints
	print  string
	// reversed is set if sources are checked by routes, so that all routes matter.
	reversed atomic.Bool
}

func (p *poll) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *poll) run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := p.print
		if err := p.look(); err != nil {
			return err
		}
		if p.print != before {
			p.tell()
		}
	}
}

// look reads what is there.
func (p *poll) look() error {
	f := &Foreign{reverse: map[string]int{}}
	if err := f.readReverse(p.ns); err != nil {
		return err
	}
	p.reversed.Store(slices.Max(slices.Collect(maps.Values(f.reverse))) > 0)
	text, err := p.prints.take()
	p.print = fmt.Sprintln(f.reverse) + text
	return err
}

// Fingerprints are of what the kernel does not announce. They must be closed.
type Fingerprints struct {
	ns     *netns.NS
	lister lister
}

// NewFingerprints returns those of the namespace, nil for the process's.
func NewFingerprints(ns *netns.NS) *Fingerprints { return &Fingerprints{ns: ns} }

// Close releases what they need.
func (f *Fingerprints) Close() { f.lister.close() }

// Take returns what is another text if rules of legacy iptables, programs of BPF at netfilter's hooks, or
// settings that the kernel does not announce, are others. What it announces as settings of devices
// (netconf) is left out.
func (f *Fingerprints) Take() (string, error) {
	mark := map[string]int{}
	err := netns.In(f.ns, func() error { return readNumber(mark, validMark, "/proc/sys/net/ipv4/conf/all/src_valid_mark") })
	if err != nil {
		return "", err
	}
	text, err := f.take()
	return fmt.Sprintln(mark) + text, err
}

// take is [Fingerprints.Take] without what only matters to flows that are known.
func (f *Fingerprints) take() (text string, err error) {
	ns, found := f.ns, f.lister.list(f.ns)
	text = found.String() + "\n"
	tables := map[header.Family][]string{}
	for _, family := range []header.Family{header.V4, header.V6} {
		if tables[family], err = legacyTables(ns, family); err != nil {
			return "", fmt.Errorf("listing tables of iptables: %w", err)
		}
	}
	err = netns.In(ns, func() error {
		for _, name := range settings() {
			value, err := os.ReadFile("/proc/sys/net/" + name)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			text += string(value)
		}
		for _, family := range []header.Family{header.V4, header.V6} {
			for _, table := range tables[family] {
				sum, err := tableSum(family, table)
				if err != nil {
					return fmt.Errorf("reading table %s of iptables for IPv%d: %w", table, family, err)
				}
				text += fmt.Sprintf("%d %s %x\n", family, table, sum)
			}
		}
		return nil
	})
	return text, err
}
