// SPDX-License-Identifier: Apache-2.0

package changes_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/changes"
	"github.com/dwelltrace/dwell/internal/netns"
)

// BenchmarkReport measures how long it takes from the return of the call that changes something until it
// is reported, while all CPUs are busy with other processes:
//
//	go test -run '^$' -bench Report -benchtime 1000x ./fastpath/changes
//
// DWELL_CALM=1 leaves the CPUs alone.
func BenchmarkReport(b *testing.B) {
	if os.Getenv("DWELL_CALM") == "" {
		busy(b)
	}
	ns := space(b)
	run(b, ns, hypervisor+"ip addr add 192.0.2.1/24 dev br0")
	h, err := ns.Netlink()
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	n := 0 // is never the same again, because a change to what is there already is none
	for name, change := range changers(b, ns, h) {
		b.Run(name, func(b *testing.B) {
			measure(b, ns, func() error {
				n++
				return change(n)
			})
		})
	}
}

// busy keeps all CPUs busy until the benchmark ends.
func busy(b *testing.B) {
	for range runtime.NumCPU() {
		cmd := exec.Command("/bin/sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// changers are by kind functions that change something each time they are called with another number.
func changers(b *testing.B, ns *netns.NS, h *netlink.Handle) map[string]func(n int) error {
	device := func(name string) netlink.Link {
		l, err := h.LinkByName(name)
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	br, p0, p1 := device("br0"), device("p0"), device("p1")
	nft, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		b.Fatal(err)
	}
	table := nft.AddTable(&nftables.Table{Name: "t", Family: nftables.TableFamilyIPv4})
	mac := func(n int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)} }
	return map[string]func(n int) error{
		"MTU": func(n int) error { return h.LinkSetMTU(p0, 1400+n%2) },
		"address": func(n int) error {
			return h.AddrReplace(br, &netlink.Addr{IPNet: &net.IPNet{IP: net.IP{198, 18 + byte(n>>16), byte(n >> 8), byte(n)}, Mask: net.CIDRMask(32, 32)}})
		},
		"route": func(n int) error {
			return h.RouteReplace(&netlink.Route{LinkIndex: br.Attrs().Index, Scope: unix.RT_SCOPE_LINK, Dst: &net.IPNet{IP: net.IP{203, 0, 113, 0}, Mask: net.CIDRMask(24, 32)}, Priority: n})
		},
		"rule": func(n int) error {
			r := netlink.NewRule()
			r.Family, r.Mark, r.Table, r.Priority = unix.AF_INET, uint32(n), 7, 1000+n
			return h.RuleAdd(r)
		},
		"neighbour": func(n int) error {
			return h.NeighSet(&netlink.Neigh{LinkIndex: br.Attrs().Index, State: netlink.NUD_REACHABLE, IP: net.IP{192, 0, 2, 9}, HardwareAddr: mac(n)})
		},
		"FDB": func(n int) error {
			port := []netlink.Link{p0, p1}[n%2]
			return h.NeighSet(&netlink.Neigh{LinkIndex: port.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER, State: netlink.NUD_NOARP, HardwareAddr: mac(7)})
		},
		"nftables": func(n int) error {
			nft.AddChain(&nftables.Chain{Name: "c" + strconv.Itoa(n), Table: table})
			return nft.Flush()
		},
	}
}

func measure(b *testing.B, ns *netns.NS, change func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	reported, done := make(chan time.Time, 1<<16), make(chan error)
	go func() {
		done <- changes.Watch(ctx, ns, func(c changes.Change) {
			if c.Kind != 0 {
				reported <- time.Now()
			}
		})
	}()
	<-reported
	var took []time.Duration
	for n := range b.N {
		err := change()
		returned := time.Now()
		if err != nil {
			b.Fatal(fmt.Errorf("change %d: %w", n, err))
		}
		took = append(took, max(0, (<-reported).Sub(returned)))
		quiet := time.NewTimer(2 * time.Millisecond) // one change may have several messages
		for waiting := true; waiting; {
			select {
			case <-reported:
			case <-quiet.C:
				waiting = false
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	at := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "µs/p50")
	b.ReportMetric(at(0.99), "µs/p99")
	b.ReportMetric(at(1), "µs/max")
	b.ReportMetric(0, "ns/op")
}
