// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/internal/check/traffic"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Everything can be measured in every mode, and nothing is left.
func TestQuick(t *testing.T) {
	privilegetest.NetNS(t)
	privilegetest.BPF(t)
	runs := [][]string{{"-quick"}}
	if bypass.Supported() == nil {
		runs = [][]string{
			{"-quick", "-modes", "nat,routed,vxlan"},
			{"-quick", "-modes", "bridge", "-ways", strings.Join([]string{slow, off, shadow, fast, redirect, bare}, ",")},
		}
	} else {
		runs[0] = append(runs[0], "-ways", slow+","+bare)
	}
	var out, progress strings.Builder
	for _, args := range runs {
		if err := run(t.Context(), args, &out, &progress); err != nil {
			t.Fatalf("%v\n%s%s", err, progress.String(), out.String())
		}
	}
	t.Log(out.String())
	for _, m := range modes() {
		if !strings.Contains(out.String(), "mode "+m.name+" ("+m.summary+"), 0 rules") {
			t.Errorf("the output lacks mode %s", m.name)
		}
	}
	for what, times := range map[string]int{"ping, 1 flow": 6, "ping, 50 flows": 4, "ping every": 6, "TCP_RR": 6, "UDP_RR": 6, "TCP stream": 8, "CPU per Gbit": 8, "single segments": 8, ", 10 rules": 2} {
		if n := strings.Count(out.String(), what); n != times {
			t.Errorf("the output has %q %d times, want %d", what, n, times)
		}
	}
	checkNothingLeft(t)
}

func checkNothingLeft(t *testing.T) {
	t.Helper()
	names, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name.Name(), labPrefix()) {
			t.Errorf("namespace %s is left", name.Name())
		}
	}
}

// BenchmarkFlowtable compares dwell with the kernel's own fast path. It is no test, and runs in the
// machine of "make bench-flowtable", whose kernel has flowtables.
func BenchmarkFlowtable(b *testing.B) {
	privilegetest.NetNS(b)
	privilegetest.BPF(b)
	ways := []string{slow, flowtable}
	if err := bypass.Supported(); err == nil {
		ways = append(ways, fast)
	} else {
		b.Log(err)
	}
	args := []string{"-ratios", "-modes", "nat,routed", "-flows", "1", "-rules", "0", "-rounds", "11", "-pings", "300", "-stream", "2s", "-ways", strings.Join(ways, ",")}
	for b.Loop() {
		if err := run(b.Context(), args, b.Output(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTable(t *testing.T) {
	s := &scene{
		config: config{ways: []string{slow, fast, bare}, rounds: 3}, mode: mode{name: "nat", summary: "as usual"}, rules: 100,
		results:  results{},
		programs: []programLine{{fast, "ingress", 2, 123.4}},
	}
	for round := range 3 {
		drift := float64(round + 1) // of the machine
		s.results.add(pingOf(1), slow, 10*drift, counted{})
		s.results.add(pingOf(1), fast, 6*drift, counted{fast: 999, slow: 1})
		s.results.add(pingOf(1), bare, 5*drift, counted{})
		s.results.add(pingOf(1000), fast, 7, counted{fast: 1})
		s.results.add(tcpRequests, slow, 1000, counted{})
		s.results.add(tcpRequests, fast, 1400, counted{})
	}
	var out strings.Builder
	if err := s.write(&out); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		got = append(got, strings.Fields(line))
	}
	want := [][]string{
		strings.Fields("mode nat (as usual), 100 rules: medians (first to third quartile) of 3 rounds"),
		strings.Fields("slow fast bare fast/slow goal reached fast/bare goal reached fast packets"),
		strings.Fields("ping, 1 flow, µs 20.0 (10.0–30.0) 12.0 (6.0–18.0) 10.0 (5.0–15.0) 0.60 (0.60–0.60) ≤ 0.55 no 1.20 (1.20–1.20) ≤ 1.25 yes 99.90 %"),
		strings.Fields("ping, 1000 flows, µs - 7.0 (7.0–7.0) - - - 100.00 %"),
		strings.Fields("TCP_RR, 1/s 1000 (1000–1000) 1400 (1400–1400) - 1.40 (1.40–1.40) ≥ 1.36 yes - -"),
		strings.Fields("fast: ingress 2.00 × 123 ns for a ping"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// No two flows are the same, and the answer of none is to be sent to nobody.
func TestPings(t *testing.T) {
	t.Parallel()
	l := &lab{mode: modes()[0], next: []byte{2, 0, 0, 0, 0, 1}, own: []byte{2, 0, 0, 0, 0, 2}}
	const flows = 3*identifiers + 1
	seen := map[string]bool{}
	for _, f := range l.pings(flows) {
		icmp := f[ethLen+ipLen:]
		seen[string(f[ethLen+16:ethLen+20])+string(icmp[4:6])] = true
		if traffic.Checksum(0, f[ethLen:ethLen+ipLen]) != 0 || traffic.Checksum(0, icmp) != 0 {
			t.Fatal("wrong checksum")
		}
		if n := int(binary.BigEndian.Uint16(f[ethLen+2:])); n != len(f)-ethLen {
			t.Fatalf("length %d of %d", n, len(f)-ethLen)
		}
	}
	if len(seen) != flows {
		t.Errorf("%d flows, want %d", len(seen), flows)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"-rules -1": "not a number", "-flows 0": "not a number", "-flows 1,many": "not a number", "-modes bridge,x": "not one of",
		"-ways quick": "not one of", "-rounds 0": "at least 1", "-stream -1s": "not less than 0",
		"-attacks tables": "not one of", "-rate -1": "not less than 0",
	} {
		if _, err := parseFlags(strings.Fields(args), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
