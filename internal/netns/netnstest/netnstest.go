// SPDX-License-Identifier: Apache-2.0

// Package netnstest makes network namespaces for tests, so that none is left behind.
package netnstest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// New makes a namespace, whose name begins with "dwt" and the process's number. It is deleted at the end
// of the test, unless the test has done so.
func New(tb testing.TB, suffix string) *netns.NS {
	tb.Helper()
	privilegetest.NetNS(tb)
	ns, err := netns.Create(fmt.Sprintf("dwt%d-%s", os.Getpid(), suffix))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(ns.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			tb.Error(err)
		}
	})
	return ns
}

// WithLoopback is New, and sets lo up, so that the namespace can ping itself.
func WithLoopback(tb testing.TB, suffix string) *netns.NS {
	tb.Helper()
	ns := New(tb, suffix)
	nl, err := ns.Netlink()
	if err != nil {
		tb.Fatal(err)
	}
	defer nl.Close()
	lo, err := nl.LinkByName("lo")
	if err == nil {
		err = nl.LinkSetUp(lo)
	}
	if err != nil {
		tb.Fatalf("lo of %s: %v", ns.Name(), err)
	}
	return ns
}
