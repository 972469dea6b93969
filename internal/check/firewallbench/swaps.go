// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

// discard is the port that the rules of the swaps drop.
const discard = 9

// swapped is what came of replacing rules while packets arrive.
type swapped struct {
	rules, swaps int
	times        []time.Duration
	// sent are the packets to be passed and as many to be dropped; lost of the first did not
	// arrive, and leaked of the second did.
	sent, lost, leaked uint64
}

// swapUnderFlood replaces rules by others that say the same of the packets that arrive meanwhile.
func (b *bench) swapUnderFlood(ctx context.Context) (result swapped, err error) {
	defer func() { err = errors.Join(err, b.down()) }()
	load, err := newWorkload(synth.Never, b.swapRules, 1)
	if err != nil {
		return result, err
	}
	const commit = "COMMIT\n"
	drop := fmt.Sprintf("-A FORWARD -p udp -m udp --dport %d -j DROP\n", discard)
	load.text = strings.TrimSuffix(load.text, commit) + drop + commit
	if err := b.up(ctx, dwell, load); err != nil {
		return result, err
	}
	c := b.cells[len(b.cells)-1]
	stop := make(chan struct{})
	flooded := make(chan error, 1)
	before, err := c.counts()
	if err != nil {
		return result, err
	}
	var sent uint64
	go func() { flooded <- c.both(stop, &sent) }()
	texts := []string{load.edited(), load.text}
	for i := range b.swaps {
		p, placeErr := c.place(ctx, texts[i%2])
		if err = placeErr; err != nil {
			break
		}
		result.times = append(result.times, p.all)
	}
	close(stop)
	if err := errors.Join(err, <-flooded); err != nil {
		return result, err
	}
	// Whatever was sent before this ping has arrived when it is answered.
	if _, err := c.wire.Pings(c.pings[:1], 0); err != nil {
		return result, err
	}
	after, err := c.counts()
	if err != nil {
		return result, err
	}
	result.rules, result.swaps, result.sent = b.swapRules, b.swaps, sent
	result.lost = sent + 1 - (after.echoes - before.echoes)
	result.leaked = after.datagrams - before.datagrams
	return result, nil
}

// both sends a ping that is to pass and a datagram that is to be dropped, in turn, until stop.
func (c *cell) both(stop <-chan struct{}, sent *uint64) error {
	dropped := plain(header.UDP, discard)
	frame := c.lab.frame(&dropped)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := errors.Join(c.wire.Send(c.pings[0]), c.wire.Send(frame)); err != nil {
			return err
		}
		*sent++
	}
}

// counts are what came to the outside's own protocols.
type counts struct{ echoes, datagrams uint64 }

func (c *cell) counts() (n counts, err error) {
	var text []byte
	err = c.lab.outside.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		return n, err
	}
	if n.echoes, err = counter(string(text), "Icmp:", "InEchos"); err != nil {
		return n, err
	}
	unwanted, err := counter(string(text), "Udp:", "NoPorts")
	if err != nil {
		return n, err
	}
	n.datagrams, err = counter(string(text), "Udp:", "InDatagrams")
	n.datagrams += unwanted
	return n, err
}

// counter returns a value of /proc/net/snmp, which has a line of names and one of values.
func counter(text, table, name string) (uint64, error) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != table {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i := range min(len(names), len(fields)) {
			if names[i] == name {
				return strconv.ParseUint(fields[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("/proc/net/snmp has no %s %s", table, name)
}
