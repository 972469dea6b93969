// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

const pingOutput = `PING 203.0.113.8 (203.0.113.8) 56(84) bytes of data.
64 bytes from 203.0.113.8: icmp_seq=1 ttl=63 time=0.034 ms
64 bytes from 203.0.113.8: icmp_seq=2 ttl=63 time=1.50 ms
64 bytes from 203.0.113.8: icmp_seq=3 ttl=63 time=0.040 ms

--- 203.0.113.8 ping statistics ---
4 packets transmitted, 3 received, 25% packet loss, time 25ms
`

func TestPingOutput(t *testing.T) {
	n, err := sent(pingOutput)
	if err != nil || n != 4 {
		t.Errorf("%d sent, %v", n, err)
	}
	rtts := roundTrips(pingOutput)
	if diff := cmp.Diff([]time.Duration{34 * time.Microsecond, 1500 * time.Microsecond, 40 * time.Microsecond}, rtts); diff != "" {
		t.Errorf("round trips (-want +got):\n%s", diff)
	}
	if m := median(rtts); m != 40*time.Microsecond {
		t.Errorf("median %v", m)
	}
	if _, err := sent("ping: unknown host"); err == nil {
		t.Error("no error without a summary")
	}
}

func TestTableAndVerdict(t *testing.T) {
	untraced := result{rtts: []time.Duration{20 * time.Microsecond}, sent: 1, red: 1000}
	traced := result{rtts: []time.Duration{21 * time.Microsecond}, sent: 2, red: 900, leftOut: 897}
	for id, outcome := range map[uint16]trace.Outcome{blueID: trace.Complete, 1: trace.Complete, 2: trace.Complete} {
		traced.add(&trace.Trace{Ping: trace.Ping{ID: id}, Outcome: outcome})
	}
	const complaint = "1 of blue's 2 pings are traced completely, 0 traces of red's are incomplete, 0 events are lost"
	if err := verdict(traced); err == nil || err.Error() != complaint {
		t.Errorf("verdict: %v, want %s", err, complaint)
	}
	traced.sent = 1
	if err := verdict(traced); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	if err := writeTable(&out, config{rounds: 1, senders: 2, length: time.Second, interval: time.Second}, untraced, traced); err != nil {
		t.Fatal(err)
	}
	const want = `1 rounds of 1s each, 2 processes of red flood, blue pings every 1s

            blue's RTT p50  ratio  blue's pings  answered  traced  complete  red's pings  traced  incomplete  left out  events lost
  untraced            20µs   1.00             1         1       0         0         1000       0           0         0            0
    traced            21µs   1.05             1         1       1         1          900       2           0       897            0
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for _, id := range []uint16{blueID, 3} {
		bad := traced
		bad.add(&trace.Trace{Ping: trace.Ping{ID: id}, Outcome: trace.Incomplete})
		if err := verdict(bad); err == nil {
			t.Errorf("no complaint about an incomplete trace of identifier %d", id)
		}
	}
}

func TestFlags(t *testing.T) {
	var stderr strings.Builder
	for _, args := range [][]string{{"--rounds", "0"}, {"--senders", "0"}, {"--length", "1ms"}, {"--interval", "0s"}, {"--max-rate", "-1"}, {"--nonsense"}} {
		if cfg, err := parseFlags(args, &stderr); err == nil {
			t.Errorf("%v: got %+v, want an error", args, cfg)
		}
	}
}

// A short round, with all that belongs to it.
func TestRun(t *testing.T) {
	privilegetest.BPF(t)
	var stdout, stderr strings.Builder
	args := []string{"--rounds", "1", "--senders", "1", "--length", "1s", "--interval", "100ms", "--max-rate", "1000"}
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	t.Log(stdout.String())
}
