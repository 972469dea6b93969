// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Watch calls report after something changed in the namespace, nil for the process's, until ctx is
// done. It is called once at first, with [Everything], when nothing that happens after it can be
// missed, and never by two goroutines at once. It should only note what it is told, because it is
// called by a thread that takes precedence over others; if it is slow, messages may be lost, which
// is reported as [Everything].
//
// As a sign that it still watches, it reports a Change whose Kind is 0 twice a second.
//
// What the kernel does not announce is compared every second: rules of legacy iptables, some
// settings, and programs at netfilter's hooks, TCX and XDP. What sets of ipset contain is not noticed.
func Watch(ctx context.Context, ns *netns.NS, report func(Change)) error {
	w := &watcher{ns: ns, report: report, news: newNews(), links: links{}, others: others{}}
	w.forget()
	defer w.close()
	if err := w.open(); err != nil {
		return fmt.Errorf("subscribing to what the kernel announces: %w", err)
	}
	if err := w.list(); err != nil {
		return err
	}
	p := &poll{watcher: w, prints: premises.NewFingerprints(ns)}
	defer p.prints.Close()
	if err := p.look(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return onThread(func(how string) error { return w.run(ctx, how) }) })
	g.Go(func() error { return p.run(ctx) })
	return g.Wait()
}

// watcher is what one Watch knows.
type watcher struct {
	ns      *netns.NS
	report  func(Change)
	sources []*source
	// polled is when it was looked last at what is not announced, in nanoseconds.
	polled atomic.Int64
	// lived is when there was the last sign of life.
	lived time.Time

	// mu protects what follows, and is held while report is called.
	mu         sync.Mutex
	news       *news
	links      links
	forwarding *forwarding
	neighbours neighbours
	others     others
}

// source is a socket, and how its messages are read.
type source struct {
	fd   int
	read func(message)
	// lost is what may have changed if a message was lost.
	lost Kind
	what string
}

// batch is how many messages are read before they are reported, at most.
const batch = 64

// open subscribes. Neighbours have a socket of their own: it is those that guests can make many of.
func (w *watcher) open() error {
	for _, s := range []struct {
		protocol int
		groups   []int
		source
	}{
		{
			unix.NETLINK_ROUTE,
			[]int{
				unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
				unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEXTHOP, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF,
				unix.RTNLGRP_TC, unix.RTNLGRP_NSID, unix.RTNLGRP_BRVLAN, unix.RTNLGRP_TUNNEL,
			},
			source{read: w.route, lost: Everything, what: "messages about devices and routes were lost"},
		},
		{
			unix.NETLINK_ROUTE,
			[]int{unix.RTNLGRP_NEIGH},
			source{read: w.route, lost: All, what: "messages about neighbours were lost"},
		},
		{
			unix.NETLINK_NETFILTER,
			[]int{unix.NFNLGRP_NFTABLES},
			source{read: w.rules, lost: All | Rules, what: "messages about rules were lost"},
		},
		{
			unix.NETLINK_XFRM,
			[]int{xfrmGroupSA, xfrmGroupPolicy},
			source{read: w.transforms, lost: All, what: "messages about IPsec were lost"},
		},
	} {
		fd, err := subscribe(w.ns, s.protocol, s.groups)
		if s.protocol == unix.NETLINK_XFRM && errors.Is(err, unix.EPROTONOSUPPORT) {
			continue // a kernel without IPsec
		}
		if err != nil {
			return err
		}
		s.fd = fd
		w.sources = append(w.sources, &s.source)
	}
	return nil
}

// Groups of XFRM.
const (
	xfrmGroupSA     = 3
	xfrmGroupPolicy = 4
)

func (w *watcher) close() {
	for _, s := range w.sources {
		_ = unix.Close(s.fd)
	}
}

// forget forgets what will be listed anew.
func (w *watcher) forget() {
	w.forwarding, w.neighbours = newForwarding(), neighbours{}
}

// run reports what the sockets say until ctx is done.
func (w *watcher) run(ctx context.Context, how string) error {
	stop, err := stopper(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(stop.fd) }()
	defer stop.release()
	fds := []unix.PollFd{{Fd: int32(stop.fd), Events: unix.POLLIN}}
	for _, s := range w.sources {
		fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
	w.tell(Change{Kind: Everything, What: "the watch began, " + how})
	buf := make([]byte, bufferSize)
	for {
		w.live()
		if _, err := unix.Poll(fds, int(lifeInterval.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for what the kernel announces: %w", err)
		}
		if fds[0].Revents != 0 {
			return nil
		}
		for i, s := range w.sources {
			if fds[i+1].Revents == 0 {
				continue
			}
			if err := w.drain(s, buf); err != nil {
				return fmt.Errorf("reading what the kernel announces: %w", err)
			}
		}
	}
}

const (
	// lifeInterval is how often there is a sign of life, at least.
	lifeInterval = 500 * time.Millisecond
	// pollPatience is how long a poll may last before that counts as not watching.
	pollPatience = 2 * time.Second
)

// live gives a sign of life from time to time, if what is not announced is watched as well.
func (w *watcher) live() {
	now := time.Now()
	if now.Sub(w.lived) < lifeInterval/2 || now.Sub(time.Unix(0, w.polled.Load())) > pollInterval+pollPatience {
		return
	}
	w.lived = now
	w.tell(Change{})
}

// tell reports one change.
func (w *watcher) tell(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report(c)
}

// drain reads some messages of a socket and reports what they say.
func (w *watcher) drain(s *source, buf []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range batch {
		n, err := unix.Read(s.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			w.flush()
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOBUFS):
			return w.recover(s, buf)
		case err != nil:
			return err
		default:
			for m := range messages(buf[:n], w.misread) {
				s.read(m)
			}
		}
	}
	w.flush()
	return nil
}

// flush reports what was noted.
func (w *watcher) flush() {
	if c, ok := w.news.take(); ok {
		w.report(c)
	}
}

// recover goes on after messages were lost. The kernel keeps none until all that it has kept are
// read; so only then is it listed what there is, and reported again.
func (w *watcher) recover(s *source, buf []byte) error {
	w.report(Change{Kind: s.lost, What: s.what})
	for {
		_, err := unix.Read(s.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	w.links = links{}
	w.forget()
	if err := w.list(); err != nil {
		return err
	}
	w.report(Change{Kind: s.lost, What: s.what + ", and what there is was listed again"})
	return nil
}
