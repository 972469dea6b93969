// SPDX-License-Identifier: Apache-2.0

package notify_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/notify"
	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func space(t *testing.T) *netns.NS {
	t.Helper()
	name := "dwell-nt-" + rand.Text()[:8]
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	return ns
}

func add(t *testing.T, ns *netns.NS, name string) {
	t.Helper()
	err := ns.Do(func() error {
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What happens after Open is noticed, once for all that is there, in this namespace only, and
// the end is not an error.
func TestRun(t *testing.T) {
	ns, other := space(t), space(t)
	s, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		add(t, ns, fmt.Sprintf("one%d", n))
	}
	calls := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, func() { calls <- struct{}{} }) }()
	<-calls
	add(t, other, "other0")
	add(t, ns, "two")
	<-calls
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(calls); n > 5 { // a device has several announcements, which may come apart
		t.Errorf("%d more calls", n)
	}
}

// Lost announcements are a change.
func TestLost(t *testing.T) {
	ns := space(t)
	s, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	err = ns.Do(func() error {
		link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "many"}}
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		for mtu := range 1000 {
			if err := netlink.LinkSetMTU(link, 1000+mtu); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- s.Run(ctx, func() { calls <- struct{}{} }) }()
	<-calls
	add(t, ns, "later")
	<-calls
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Announcements that are not wanted are read and forgotten.
func TestRunIf(t *testing.T) {
	ns := space(t)
	s, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	calls, asked := make(chan struct{}, 100), make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	wanted := func(m []byte) bool {
		asked <- struct{}{}
		return bytes.Contains(m, []byte("wanted"))
	}
	go func() { done <- s.RunIf(ctx, wanted, func() { calls <- struct{}{} }) }()
	add(t, ns, "other")
	<-asked
	add(t, ns, "wanted")
	<-calls
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(asked); n == 0 {
		t.Error("nothing was asked about what is wanted")
	}
}

func TestBadGroup(t *testing.T) {
	if _, err := notify.Open(nil, unix.NETLINK_ROUTE, 1<<20); err == nil {
		t.Error("there is such a group")
	}
}
