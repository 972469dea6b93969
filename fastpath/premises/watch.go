// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"context"
	"errors"
	"fmt"
	"os"
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
// missed. Rules of legacy iptables and settings are compared every second, because the kernel does
// not announce them.
func Watch(ctx context.Context, ns *netns.NS, changed func()) error {
	rules, err := notify.Open(ns, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return fmt.Errorf("nf_tables: %w", err)
	}
	routing, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return errors.Join(err, rules.Close())
	}
	before, err := fingerprint(ns)
	if err != nil {
		return errors.Join(err, rules.Close(), routing.Close())
	}
	news := make(chan struct{}, 1)
	tell := func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	tell()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return rules.Run(ctx, tell) })
	g.Go(func() error { return routing.Run(ctx, tell) })
	g.Go(func() error { return poll(ctx, ns, before, tell) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-news:
				changed()
			}
		}
	})
	return g.Wait()
}

// poll compares what is not announced.
func poll(ctx context.Context, ns *netns.NS, before string, tell func()) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := fingerprint(ns)
		if err != nil {
			return err
		}
		if now != before {
			before = now
			tell()
		}
	}
}

// fingerprint returns what is another text if rules of legacy iptables or settings are others.
func fingerprint(ns *netns.NS) (text string, err error) {
	tables := map[header.Family][]string{}
	for _, family := range []header.Family{header.V4, header.V6} {
		if tables[family], err = legacyTables(ns, family); err != nil {
			return "", fmt.Errorf("listing tables of iptables: %w", err)
		}
	}
	err = inNS(ns, func() error {
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
