// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
	"github.com/dwelltrace/dwell/internal/check/traffic"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Everything can be measured: all packets arrive, none is lost or misjudged while rules are replaced,
// and nothing is left.
func TestQuick(t *testing.T) {
	privilegetest.NetNS(t)
	privilegetest.BPF(t)
	var out, progress strings.Builder
	if err := run(t.Context(), []string{"-quick"}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, progress.String(), out.String())
	}
	t.Log(out.String())
	for _, want := range []string{
		"flavour never", "flavour zones", "legacy  100/1", "nft  100/1", "dwell  100/1", "5 swaps of 20 rules", " 0 lost, 0 passed that were",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q", want)
		}
	}
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

func TestTable(t *testing.T) {
	times := func(ns ...time.Duration) map[string][]time.Duration {
		all := map[string][]time.Duration{}
		for _, name := range columns() {
			all[name] = ns
		}
		return all
	}
	cells := []*cell{
		{way: none, load: &workload{}, samples: map[string][]time.Duration{pingOne: {9 * time.Microsecond}}},
		{way: dwell, load: &workload{rules: 1}, samples: times(1000, 2000, 3000, 4000)},
		{way: dwell, load: &workload{rules: 100}, samples: times(3000, 3000), placed: placed{compile: 1500 * time.Microsecond, all: time.Second}},
	}
	var out strings.Builder
	if err := writeTable(&out, "never", config{rounds: 2, ways: []string{legacy, dwell}}, cells); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got [][]string
	for _, line := range lines[2:] {
		got = append(got, strings.Fields(line))
	}
	want := [][]string{
		{"none", "0", "9.0", "(9.0–9.0)", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
		strings.Fields("dwell 1 3.0 (2.0–4.0) 3.0 (2.0–4.0) 333333 (250000–500000) 3000 (2000–4000) 3000 (2000–4000) 3000 (2000–4000) 3000 (2000–4000) - - -"),
		strings.Fields("dwell 100 3.0 (3.0–3.0) 3.0 (3.0–3.0) 333333 (333333–333333) 3000 (3000–3000) 3000 (3000–3000) 3000 (3000–3000) 3000 (3000–3000) 1000.0 1.5 -"),
		strings.Fields("dwell 100/1 1.00 1.00 1.00 1.00 1.00 1.00 1.00"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSwapsThatFail(t *testing.T) {
	var out strings.Builder
	if err := writeSwaps(&out, &swapped{rules: 1, swaps: 1, times: []time.Duration{time.Second}, sent: 9, lost: 1, leaked: 2}); err == nil ||
		err.Error() != "1 packets lost and 2 misjudged while rules were replaced" {
		t.Error(err)
	}
}

// The rules let each packet that is measured pass, and no two of them are equal.
func TestWorkload(t *testing.T) {
	t.Parallel()
	for _, flavour := range synth.Flavours() {
		for _, rules := range []int{1, 100} {
			w, err := newWorkload(flavour, rules, 200)
			if err != nil {
				t.Errorf("%s, %d rules: %v", flavour, rules, err)
				continue
			}
			seen := map[header.Packet]bool{}
			for _, list := range [][]header.Packet{w.pings, w.packets} {
				if len(list) != 201 {
					t.Errorf("%s, %d rules: %d packets, want 201", flavour, rules, len(list))
				}
				for _, p := range list {
					if w.set.Judge(&p).Verdict != ruleset.Pass {
						t.Errorf("%s, %d rules: %s does not pass", flavour, rules, p)
					}
					seen[p] = true
				}
			}
			if len(seen) != 402 {
				t.Errorf("%s, %d rules: only %d of 402 packets are different", flavour, rules, len(seen))
			}
		}
	}
}

func TestFrame(t *testing.T) {
	t.Parallel()
	l := &lab{bridge: []byte{2, 0, 0, 0, 0, 1}, guestMAC: []byte{2, 0, 0, 0, 0, 2}}
	for _, proto := range []uint32{header.ICMP, header.TCP, header.UDP} {
		p := plain(proto, rrPort)
		f := l.frame(&p)
		if sum := traffic.Checksum(0, f[ethLen:ethLen+ipLen]); sum != 0 {
			t.Errorf("protocol %d: the header's checksum is wrong by %#x", proto, sum)
		}
		if n := int(binary.BigEndian.Uint16(f[ethLen+2:])); n != len(f)-ethLen {
			t.Errorf("protocol %d: length %d of %d", proto, n, len(f)-ethLen)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"-rules 0": "not a number of rules", "-ways iptables": "not one of", "-flavours x": "not one of", "-rounds 0": "at least 1", "-packets 3": "64",
	} {
		if _, err := parseFlags(strings.Fields(args), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
