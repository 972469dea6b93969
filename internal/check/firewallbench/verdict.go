// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/dwelltrace/dwell/internal/check/progtime"
	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// verdicts measures how long dwell's programs run for a packet. The kernel measures it only where
// it is asked to, which itself takes time: so it is not asked in the rounds.
func (c *cell) verdicts(cfg config) (err error) {
	m, ok := c.placer.(*managed)
	if !ok {
		return nil
	}
	stop, err := progtime.Measure()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for name, frames := range map[string][][]byte{verdictOne: c.packets[:1], verdictMany: c.packets[1:]} {
		sum := map[string]progtime.Ran{}
		for range cfg.rounds {
			before, err := progtime.Pinned(m.pin())
			if err != nil {
				return err
			}
			if _, err := c.flood(context.Background(), frames, cfg.packets); err != nil {
				return err
			}
			after, err := progtime.Pinned(m.pin())
			if err != nil {
				return err
			}
			spent := time.Duration(0)
			for program, now := range after {
				more := now.Since(before[program])
				sum[program] = progtime.Ran{Runs: sum[program].Runs + more.Runs, Took: sum[program].Took + more.Took}
				spent += more.Took
			}
			c.samples[name] = append(c.samples[name], spent/time.Duration(cfg.packets-cfg.packets%traffic.Batch))
		}
		c.programs[name] = sum
	}
	return nil
}
