// SPDX-License-Identifier: Apache-2.0

package pinger

import (
	"net/netip"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/echo"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
)

// Time is up before the receiver has had its turn, as on a machine that stood still: the
// replies that are there count, and the socket has room for those of some seconds.
func TestRepliesThatWaitedCount(t *testing.T) {
	ns := netnstest.WithLoopback(t, "ping-late")
	for _, target := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")} {
		waited(t, Config{NetNS: ns, Target: target, Count: 2000, Size: DefaultSize, ID: 7})
	}
}

func waited(t *testing.T, cfg Config) {
	t.Helper()
	witness, err := echo.Open(cfg.NetNS, cfg.Target, cfg.ID) // the kernel serves the newest socket first
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	c, err := echo.Open(cfg.NetNS, cfg.Target, cfg.ID)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{cfg: cfg, conn: c, report: &Report{}, open: map[uint16]int{}, replies: make(chan echo.Reply)}
	for buf := make([]byte, 2000); len(r.report.Echoes) < cfg.Count; {
		r.send()
		if _, err := witness.Receive(buf); err != nil {
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
