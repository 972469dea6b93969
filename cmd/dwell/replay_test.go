// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/recording"
	"github.com/dwelltrace/dwell/internal/study/listing"
)

const listings = "../../internal/study/listing/testdata/"

func transcript(name string) string { return filepath.Join(listings, "transcripts", name+".txt") }

// runReplayed runs dwell replay in this process.
func runReplayed(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Setenv("LC_ALL", "C.UTF-8")
	var out, errOut bytes.Buffer
	cmd := newReplayCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

// makeRecording records the pings of a listing as dwell trace --record would, and
// returns the paths of the recording and of the OTLP file of that run.
func makeRecording(t *testing.T, name string) (rec, jsonl string) {
	t.Helper()
	rec, jsonl = filepath.Join(t.TempDir(), "pings.rec"), filepath.Join(t.TempDir(), "live.jsonl")
	l := readListing(t, name)
	info := recording.Info{Version: "0.0.1", HostID: "abc", HostName: "hypervisor1", Kernel: "6.18.0"}
	w, err := recording.Create(rec, info, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	file, err := otlpfile.New(otlpfile.Options{
		Path: jsonl, OTLP: otlp.Options{Version: info.Version, Host: otlp.Host{ID: info.HostID, Name: info.HostName}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var batch []*trace.Trace
	opts := correlate.Options{HostID: info.HostID, Resolver: l, Emit: func(t *trace.Trace) { batch = append(batch, t) }}
	const offset = 1_700_000_000_000_000_000
	c := w.Correlator(opts, offset)
	for i := range l.Events {
		c.Add(&l.Events[i])
	}
	c.Flush()
	w.Send(offset, len(batch), len(batch))
	for _, tr := range batch {
		tr.Rebase(offset)
	}
	if err := file.Export(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := file.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return rec, jsonl
}

func readListing(t *testing.T, name string) *listing.Listing {
	t.Helper()
	f, err := os.Open(transcript(name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := listing.Read(name, f, listing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A recording gives the OTLP of the live run, byte for byte.
func TestReplayOfARecordingIsTheLiveRun(t *testing.T) {
	rec, jsonl := makeRecording(t, "bridge-ovs")
	again := filepath.Join(t.TempDir(), "again.jsonl")
	_, stderr, err := runReplayed(t, "", rec, "--output", "none", "--otlp-file", again)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(jsonl)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" || len(want) == 0 {
		t.Errorf("(-live +replayed):\n%s", diff)
	}
	if want := rec + ": 1 pings: 0 complete, 0 dropped, 1 incomplete (agent_stopped: 1); 16 events"; !strings.Contains(stderr, want) {
		t.Errorf("got %q, want %q", stderr, want)
	}
}

// Every interval of the paper is in the OTLP that replaying its listing gives.
func TestReplayGivesThePapersFigures(t *testing.T) {
	f, err := os.Open(filepath.Join(listings, "intervals.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, error %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		jsonl := filepath.Join(t.TempDir(), "out.jsonl")
		if _, _, err := runReplayed(t, "", transcript(row[0]), "--output", "none", "--otlp-file", jsonl); err != nil {
			t.Fatal(err)
		}
		want, err := strconv.ParseInt(row[4], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n := spansOf(t, jsonl, row[1], want); n != 1 {
			t.Errorf("%v: %d such spans", row, n)
		}
	}
}

// spansOf counts the spans of a kind and a duration in an OTLP file.
func spansOf(t *testing.T, path, kind string, ns int64) (n int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var u ptrace.JSONUnmarshaler
		traces, err := u.UnmarshalTraces([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		for _, rs := range traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					k, _ := s.Attributes().Get(trace.AttrKind)
					if k.AsString() == kind && int64(s.EndTimestamp()-s.StartTimestamp()) == ns {
						n++
					}
				}
			}
		}
	}
	return n
}

func TestReplayOutputs(t *testing.T) {
	rec, _ := makeRecording(t, "tunnel")
	for _, tt := range []struct {
		name string
		args []string
		// want stands in the output, in this order.
		want []string
	}{
		{"a waterfall by default", []string{transcript("bridge-ovs")}, []string{"ping 192.168.0.10", "brovsns-ns", "hypervisor", "beyond ens3", "echo reply"}},
		{"several files", []string{transcript("nat"), transcript("routed")}, []string{"natovsns-ns", "rovsns-ns1"}},
		{"a table", []string{transcript("nat"), "-o", "table"}, []string{"DIRECTION", "MEAN", "hypervisor", "beyond ens3"}},
		{"a listing", []string{transcript("tunnel"), "-o", "events"}, []string{"NETWORK NS", "vxlan0 ", "tunnel", "192.168.100.1 -> 192.168.200.1", "net_dev_start_xmit"}},
		{"the listing of a recording", []string{rec, "-o", "events"}, []string{"NETWORK NS", "[ 4026532699] netns-4026532699", "vxlan0"}},
		{"another hypervisor", []string{transcript("routed"), "--hypervisor", "4026532625"}, []string{"rovs-1", "hypervisor"}},
		{"another time", []string{transcript("routed"), "--start", "2018-11-13T09:30:00Z"}, []string{"rovs-1"}},
		{"nothing", []string{transcript("nat"), "-o", "none"}, nil},
	} {
		out, stderr, err := runReplayed(t, "", tt.args...)
		if err != nil || !strings.Contains(stderr, " pings: ") {
			t.Errorf("%s: error %v, %q", tt.name, err, stderr)
		}
		rest := out
		for _, w := range tt.want {
			_, after, found := strings.Cut(rest, w)
			if !found {
				t.Errorf("%s: no %q in its place in\n%s", tt.name, w, out)
				break
			}
			rest = after
		}
		if tt.want == nil && out != "" {
			t.Errorf("%s: %q", tt.name, out)
		}
	}
}

// What --output events prints can be replayed, and is then the same again.
func TestReplayOfItsOwnListing(t *testing.T) {
	for _, file := range []string{"bridge-namespaces", "tunnel", "tunnel-bridged"} {
		once, _, err := runReplayed(t, "", transcript(file), "--output", "events")
		if err != nil {
			t.Fatal(err)
		}
		twice, _, err := runReplayed(t, once, "-", "--output", "events")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Errorf("%s (-once +twice):\n%s", file, diff)
		}
	}
}

func TestReplayJSON(t *testing.T) {
	out, _, err := runReplayed(t, "", transcript("bridge-ovs"), "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got []listing.Object
	for line := range strings.Lines(out) {
		var o listing.Object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		got = append(got, o)
	}
	l := readListing(t, "bridge-ovs")
	var want []listing.Object
	for i := range l.Events {
		want = append(want, listing.ObjectOf(&l.Events[i], l.Events[i].Hook.Info(), l))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReplayErrors(t *testing.T) {
	rec, _ := makeRecording(t, "nat")
	whole, err := os.ReadFile(rec)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.rec")
	if err := os.WriteFile(cut, whole[:len(whole)-4], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"-"}, "standard input: no line looks like"},
		{"hello\n", []string{"-"}, "standard input:1: not a line of a listing"},
		{"", []string{"nothing.txt"}, "replay: open nothing.txt: no such file or directory"},
		{"", []string{t.TempDir()}, "is a directory"},
		{"", []string{transcript("nat"), "-o", "xml"}, `unknown output "xml"; choose one of: waterfall, table, events, json, none`},
		{"", []string{transcript("nat"), "--start", "soon"}, `--start "soon": want now, or a time like`},
		{"", []string{transcript("nat"), "--hypervisor", "99999999999"}, `--hypervisor "99999999999": not the inode number`},
		{"", []string{rec, "--hypervisor", "1"}, "pings.rec: --hypervisor and --start are for listings"},
		{"", []string{cut}, "cut.rec: the recording is truncated"},
		{"", []string{rec, transcript("nat"), "--otlp-file", os.DevNull}, "export them separately"},
		{"", []string{transcript("nat"), "--otlp-file", "/dev/full"}, "/dev/full"},
	} {
		_, _, err := runReplayed(t, tt.stdin, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want %s", tt.args, err, tt.want)
		}
	}
	// What comes before the cut is there all the same.
	if out, _, _ := runReplayed(t, "", cut); !strings.Contains(out, "natovsns-ns") {
		t.Errorf("got %q", out)
	}
}
