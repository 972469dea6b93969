// SPDX-License-Identifier: Apache-2.0

package bpf_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Prints each packet of the pings to or from 192.0.2.0/24 at each hook that sees it,
// until Ctrl-C.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := watch(ctx, netip.MustParsePrefix("192.0.2.0/24"))
	stop()
	if errors.Is(err, bpf.ErrPermission) {
		log.Fatal(err, " (dwell doctor says which capabilities are missing)")
	} else if err != nil {
		log.Fatal(err)
	}
}

// watch needs CAP_BPF and CAP_PERFMON.
func watch(ctx context.Context, prefix netip.Prefix) error {
	tracer, err := bpf.Load(bpf.Options{})
	if err != nil {
		return err
	}
	defer tracer.Close()
	if err := tracer.SetFilter(bpf.Filter{Addresses: []netip.Prefix{prefix}}); err != nil {
		return err
	}
	if err := tracer.Attach(); err != nil {
		return err
	}
	for {
		if err := tracer.Wait(ctx, 100*time.Millisecond); errors.Is(err, context.Canceled) {
			break
		} else if err != nil {
			return err
		}
		if _, err := tracer.Drain(show); err != nil {
			return err
		}
	}
	stats, err := tracer.Stats()
	if err == nil && stats.Total().Lost > 0 {
		fmt.Println(stats.Total().Lost, "events found no room in the ring buffer")
	}
	return err
}

// show must copy what it keeps: the event is valid until it returns.
func show(ev *event.Event) {
	fmt.Println(ev.Time, ev.Hook, ev.NetNS, ev.IfIndex, ev.Type, ev.Seq)
}
