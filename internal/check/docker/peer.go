// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// peer is what runs in a container: without arguments nothing until it is stopped, and with
// "ping ADDRESS COUNT" that.
func peer(ctx context.Context, args []string) error {
	if len(args) == 0 {
		<-ctx.Done()
		return nil
	}
	if len(args) != 3 || args[0] != "ping" {
		return errors.New("usage: peer [ping ADDRESS COUNT]")
	}
	target, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	report, err := pinger.Run(ctx, pinger.Config{
		Target: target, Count: count, Interval: 50 * time.Millisecond, Timeout: 10 * time.Second,
	})
	if err == nil && report.Received() != count {
		err = fmt.Errorf("%d of %d pings answered", report.Received(), count)
	}
	return err
}
