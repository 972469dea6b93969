// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/table"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// What tells rows apart: direction, name, namespace and depth. Pings between different
// hosts are one row.
func TestRows(t *testing.T) {
	tb := table.New(0)
	other := ping("eth0", "a", 1)
	other.Root().Title = "ping c -> d"
	nowhere := ping("eth0", "a", 1)
	nowhere.Spans[1].NetNS = nil
	deeper := ping("eth0", "a", 1)
	deeper.Add(1, trace.Span{Kind: trace.KindTransmit, End: 1, NetNS: deeper.Spans[1].NetNS, Device: deeper.Spans[1].Device, Leaf: true})
	fill(t, tb, ping("eth0", "a", 1), other, ping("eth1", "a", 1), ping("eth0", "b", 1), nowhere, deeper)
	want := []string{ // sorted
		"    transmit eth0 a 1",
		"  transmit eth0 1",
		"  transmit eth0 a 3",
		"  transmit eth0 b 1",
		"  transmit eth1 a 1",
		"ping a 5",
		"ping b 1",
	}
	var got []string
	for line := range strings.Lines(write(t, tb, table.Options{})) {
		if _, row, ok := strings.Cut(line, "           "); ok && !strings.HasPrefix(line, "DIRECTION") {
			row, _, _ = strings.Cut(row, "  1 ns")
			indent := len(row) - len(strings.TrimLeft(row, " "))
			got = append(got, row[:indent]+strings.Join(strings.Fields(row), " "))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, write(t, tb, table.Options{}))
	}
}

// Pings that are not complete are told of and not counted: a span that a drop cut short
// says nothing of its device.
func TestIncompletePings(t *testing.T) {
	tb := table.New(0)
	fill(t, tb, tracetest.Complete(1))
	alone := write(t, tb, table.Options{})
	if strings.Contains(alone, "not counted") {
		t.Errorf("told of in\n%s", alone)
	}
	fill(t, tb, tracetest.Dropped(2), tracetest.NoReply(3), tracetest.Tunnelled(4))
	rows, note, _ := strings.Cut(write(t, tb, table.Options{}), alone)
	if rows != "" || !strings.Contains(note, "not counted") || !strings.Contains(note, ": 3 of the pings") {
		t.Errorf("%q behind\n%s", note, alone)
	}
	// They were taken all the same: nothing is lost.
	want := exporter.Stats{Sent: exporter.CountOf(tracetest.Complete(1), tracetest.Dropped(2), tracetest.NoReply(3), tracetest.Tunnelled(4))}
	if got := tb.Stats(); got.Sent != want.Sent || len(got.Lost) > 0 || got.Sent.Traces != 4 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := tb.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// What the scope leaves out does not make wrong what was seen: with --interface, every ping
// is partial.
func TestPartialPingsCount(t *testing.T) {
	tb := table.New(0)
	fill(t, tb, tracetest.Partial(1), tracetest.Partial(2))
	if out := write(t, tb, table.Options{}); strings.Contains(out, "not counted") || !strings.Contains(out, "beyond ens3") {
		t.Errorf("the table of two partial pings is\n%s", out)
	}
}

func TestToFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := table.New(0).Write(full, table.Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
}

// Pings that come from several goroutines while the table is written are all counted.
func TestConcurrently(t *testing.T) {
	tb := table.New(10)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				fill(t, tb, ping("eth0", "a", 7))
				tb.Stats()
				write(t, tb, table.Options{})
			}
		})
	}
	all.Wait()
	if got := read(t, tb, "ping")[0]; got != (tableRow{400, 7, 7, 7}) || tb.Stats().Sent.Traces != 400 {
		t.Errorf("%+v; %+v", got, tb.Stats())
	}
}
