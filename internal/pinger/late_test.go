// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Time is up before the receiver has had its turn, as on a machine that stood still: the
// replies that are there count.
func TestRepliesThatWaitedCount(t *testing.T) {
	cfg := Config{NetNS: loopback(t), Target: netip.MustParseAddr("127.0.0.1"), Count: 3, Size: DefaultSize, ID: 7}
	witness, err := open(cfg) // the kernel serves the newest socket first
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	c, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{cfg: cfg, conn: c, report: &Report{}, open: map[uint16]int{}, replies: make(chan reply)}
	for buf := make([]byte, 2000); len(r.report.Echoes) < cfg.Count; {
		r.send()
		if _, _, err := witness.ReadFrom(buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	received := make(chan error, 1)
	go func() { received <- receive(c, r.replies, nil) }()
	r.drain()
	if err := <-received; err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := r.report.Received(); got != cfg.Count {
		t.Errorf("%d of %d replies", got, cfg.Count)
	}
}

// loopback makes a namespace with lo up.
func loopback(t *testing.T) *netns.NS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	ns, err := netns.Create(fmt.Sprintf("dwt%d-ping-late", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(ns.Name()); err != nil {
			t.Error(err)
		}
	})
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if err := nl.LinkSetUp(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
		t.Fatal(err)
	}
	return ns
}
