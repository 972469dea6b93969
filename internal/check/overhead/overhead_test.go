// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pingSummary = `PING 203.0.113.8 (203.0.113.8) 56(84) bytes of data.

--- 203.0.113.8 ping statistics ---
2000 packets transmitted, 1999 received, 0.05% packet loss, time 25ms
rtt min/avg/max/mdev = 0.007/0.009/0.142/0.003 ms, ipg/ewma 0.012/0.010 ms
`

func TestParsePing(t *testing.T) {
	got, err := parsePing(pingSummary)
	if err != nil {
		t.Fatal(err)
	}
	want := sample{rtt: 9 * time.Microsecond, elapsed: 25 * time.Millisecond, sent: 2000, received: 1999}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{})); diff != "" {
		t.Errorf("sample (-want +got):\n%s", diff)
	}
	if rate := got.rate(); rate != 80000 {
		t.Errorf("%g pings/s, want 80000", rate)
	}
	for name, out := range map[string]string{
		"nothing":     "",
		"unanswered":  "5 packets transmitted, 0 received, 100% packet loss, time 4ms\n",
		"odd average": strings.Replace(pingSummary, "/0.009/", "/0..9/", 1),
		"no time":     strings.Replace(pingSummary, ", time 25ms", "", 1),
	} {
		if s, err := parsePing(out); err == nil {
			t.Errorf("%s: got %+v, want an error", name, s)
		}
	}
}

func TestEventsLost(t *testing.T) {
	for summary, want := range map[string]int{
		"20000 pings, 20000 complete\n480000 events, 0 lost\n": 0,
		"dwell: 12 events lost in the ring":                    12,
		"events lost: 7":                                       7,
	} {
		if got, err := eventsLost(summary); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", summary, got, err, want)
		}
	}
	if n, err := eventsLost("20000 pings"); err == nil {
		t.Errorf("no count: got %d, want an error", n)
	}
}

func TestSamplesLost(t *testing.T) {
	const totals = `
Aggregated stats:
           TOTAL events:       8457
            LOST events:          3  ( 0.0%)
    LOST_SAMPLES events:          2  ( 0.0%)
net:net_dev_queue stats:
          SAMPLE events:       4000
`
	for stats, want := range map[string]int{
		totals + "    LOST_SAMPLES events:       2000\nnet:netif_rx stats:\n    LOST_SAMPLES events:         11\n": 2011,
		totals:                                  3,
		"           TOTAL events:       8457\n": 0,
	} {
		if got, err := samplesLost(stats); err != nil || got != want {
			t.Errorf("%s\n%d, %v, want %d", stats, got, err, want)
		}
	}
}

// otlpLine is one batch with a trace of the outcome: a root and a child.
func otlpLine(t *testing.T, outcome trace.Outcome) string {
	t.Helper()
	batch := ptrace.NewTraces()
	spans := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i, parent := range []pcommon.SpanID{{}, {1}} {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1})
		span.SetSpanID(pcommon.SpanID{byte(i + 1)})
		span.SetParentSpanID(parent)
		span.Attributes().PutStr(trace.AttrOutcome, outcome.String())
	}
	raw, err := (&ptrace.JSONMarshaler{}).MarshalTraces(batch)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw) + "\n"
}

func TestOutcomes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "traces.json")
	lines := otlpLine(t, trace.Complete) + otlpLine(t, trace.Dropped) + strings.TrimSpace(otlpLine(t, trace.Complete))
	write(t, name, lines, 0o600)
	got, err := outcomes(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"complete": 2, "dropped": 1}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	write(t, name, lines[:len(lines)-1], 0o600)
	if got, err := outcomes(name); err == nil {
		t.Errorf("file cut off: got %v, want an error", got)
	}
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestTableAndVerdict(t *testing.T) {
	at := func(us, ms, lost int, traces map[string]int) sample {
		return sample{
			rtt: time.Duration(us) * time.Microsecond, elapsed: time.Duration(ms) * time.Millisecond,
			sent: 1000, received: 1000, lost: lost, traces: traces,
		}
	}
	few := map[string]int{"complete": 11}
	all, most := map[string]int{"complete": 1000}, map[string]int{"complete": 998, "incomplete": 1, "dropped": 1}
	results := []result{
		{"nothing", 0, false, []sample{at(10, 20, 0, nil), at(8, 10, 0, nil), at(30, 30, 0, nil)}},
		{"dwell trace", 1, true, []sample{at(15, 25, 0, all), at(14, 20, 0, all), at(16, 40, 0, all)}},
		{"dwell trace, 1 %", 0.01, true, []sample{at(11, 21, 0, few), at(10, 20, 0, few), at(12, 22, 0, few)}},
		{"bpftrace, counting", 0, false, []sample{at(20, 30, 0, nil), at(20, 30, 0, nil), at(20, 30, 0, nil)}},
		{"perf record", 0, true, []sample{at(25, 50, 2, nil), at(25, 50, 3, nil), at(25, 50, 0, nil)}},
	}
	var out strings.Builder
	if err := writeTable(&out, config{rounds: 3, count: 1000}, results); err != nil {
		t.Fatal(err)
	}
	want := `1000 pings a round, medians of 3 rounds; counts are of all rounds

          watched by  mean RTT  ratio  time per ping  ratio  pings/s  pings  unanswered  events lost  traces complete  incomplete  dropped  other
             nothing      10µs   1.00           20µs   1.00    50000   3000           0            -                -           -        -      -
         dwell trace      15µs   1.50           25µs   1.25    40000   3000           0            0             3000           0        0      0
    dwell trace, 1 %      11µs   1.10           21µs   1.05    47619   3000           0            0               33           0        0      0
  bpftrace, counting      20µs   2.00           30µs   1.50    33333   3000           0            -                -           -        -      -
         perf record      25µs   2.50           50µs   2.50    20000   3000           0            5                -           -        -      -
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if err := verdict(results); err != nil {
		t.Errorf("verdict: %v", err)
	}
	results[1].samples[2].traces = most
	results[2].samples[2].traces = map[string]int{"complete": 300}
	results[0].samples[0].received--
	const complaint = "nothing: 1 pings unanswered\ndwell trace: 2998 complete traces of 3000 pings, 0 events lost\n" +
		"dwell trace, 1 %: 322 complete traces of 3000 pings, 0 events lost"
	if err := verdict(results); err == nil || err.Error() != complaint {
		t.Errorf("verdict: %v, want %s", err, complaint)
	}
}

func TestFlags(t *testing.T) {
	var stderr strings.Builder
	for _, args := range [][]string{{"--rounds", "0"}, {"--count", "0"}, {"--count", "65537"}, {"--sample-ratio", "1.5"}, {"--sample-ratio", "-1"}, {"--nonsense"}} {
		if cfg, err := parseFlags(args, &stderr); err == nil {
			t.Errorf("%v: got %+v, want an error", args, cfg)
		}
	}
}

// fakes puts a dwell and a perf in the way that act as the real ones do as far as
// this program sees them, and log what they are asked.
func fakes(t *testing.T) (dwell, log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	write(t, filepath.Join(dir, "batch"), otlpLine(t, trace.Complete), 0o600)
	write(t, filepath.Join(dir, "summary"), strings.Replace(pingSummary, "2000 packets transmitted, 1999", "1 packets transmitted, 1", 1), 0o600)
	dwell = filepath.Join(dir, "dwell")
	write(t, dwell, `#!/bin/bash
cd "$(dirname "$0")"
echo "$1 $2" >> log
case "$1 $2" in
"lab exec") cat summary ;;
"trace --output")
  trap 'cp batch "$5"; echo "24 events, 0 lost" >&2; exit ${TRACE_STATUS-0}' INT
  echo "attached ${TRACE_STATUS-}" >&2
  while :; do read -r -t 1 <> <(:) || :; done ;;
esac
`, 0o700)
	write(t, filepath.Join(dir, "perf"), `#!/bin/sh
if [ "$1" = record ]; then
  while [ "$1" != -- ]; do shift; done
  shift; exec "$@"
fi
echo "TOTAL events: 1"
`, 0o700)
	write(t, filepath.Join(dir, "bpftrace"), `#!/bin/bash
trap 'printf "\n\n@[tracepoint:net:net_dev_queue]: ${BPFTRACE_COUNT-1}\n"; exit' INT
printf 'Attaching 9 probes...\nattached\n'
while :; do read -r -t 1 <> <(:) || :; done
`, 0o700)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dwell, log
}

func TestRun(t *testing.T) {
	privilegetest.BPF(t) // for the programs that do nothing and the mount of tracefs
	dwell, log := fakes(t)
	var stdout, stderr strings.Builder
	if err := run(t.Context(), []string{"--dwell", dwell, "--rounds", "2", "--count", "1"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	for _, row := range []string{"nothing", "programs that do nothing", "dwell trace", "dwell trace, 1 %", "bpftrace, counting", "perf record"} {
		if !strings.Contains(stdout.String(), row+"  ") {
			t.Errorf("no row %q in\n%s", row, stdout.String())
		}
	}
	round := strings.Repeat("lab exec\n", 2) + strings.Repeat("trace --output\nlab exec\n", 2) + strings.Repeat("lab exec\n", 2)
	checkLog(t, log, "lab up\n"+round+round+"lab down\n")
}

func TestLabGoesWhenTracingFails(t *testing.T) {
	privilegetest.BPF(t) // for the programs that do nothing
	dwell, log := fakes(t)
	t.Setenv("TRACE_STATUS", "3")
	var stdout, stderr strings.Builder
	err := run(t.Context(), []string{"--dwell", dwell, "--count", "1"}, &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v, want exit status 3", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("printed\n%s", stdout.String())
	}
	checkLog(t, log, "lab up\nlab exec\nlab exec\ntrace --output\nlab exec\nlab down\n")
}

// Probes that saw nothing of the flood are no measurement.
func TestBpftraceCountsNothing(t *testing.T) {
	privilegetest.NetNS(t) // for the mount of tracefs
	dwell, _ := fakes(t)
	t.Setenv("BPFTRACE_COUNT", "0")
	b := bench{config: config{dwell: dwell, count: 1}, dir: t.TempDir()}
	if s, err := b.counted(t.Context()); err == nil || !strings.Contains(err.Error(), "0 events of 1 pings") {
		t.Errorf("%+v, error %v", s, err)
	}
}

func checkLog(t *testing.T, log, want string) {
	t.Helper()
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
