// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

var update = flag.Bool("update", false, "write the golden paths anew")

// Each topology's path stands in testdata and was read against the trace model and the
// paper's listing of that topology.
func TestPathOfEveryTopology(t *testing.T) {
	const count = 20
	for _, topology := range lab.Paper() {
		t.Run(topology.Name, func(t *testing.T) {
			l := up(t, topology.Name)
			for family, target := range targets(l) {
				roots, sum := exported(t, []*lab.Lab{l}, agent.Options{}, func() {
					ping(t, l, pinger.Config{Target: target, Count: count, Interval: time.Millisecond})
				})
				if sum.Complete != count || len(roots) != count || sum.Lost() != 0 {
					t.Fatalf("%s: %s", family, sum)
				}
				want := golden(t, topology.Name+"."+family, withoutSeq(roots[0].String()))
				for _, r := range roots {
					checkComplete(t, r)
					if diff := cmp.Diff(want, withoutSeq(r.String())); diff != "" {
						t.Fatalf("%s: %s", family, diff)
					}
				}
			}
		})
	}
}

// targets returns what the guest of a lab can ping, by family.
func targets(l *lab.Lab) map[string]netip.Addr {
	all := map[string]netip.Addr{"ipv4": l.Target(false)}
	if v6 := l.Target(true); v6.IsValid() {
		all["ipv6"] = v6
	}
	return all
}

// golden returns what is in a file of testdata, which is got with -update.
func golden(t *testing.T, name, got string) string {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkComplete holds a trace of a complete ping against the trace model.
func checkComplete(t *testing.T, root *node) {
	t.Helper()
	checkTiling(t, root)
	if got := root.attr(trace.AttrOutcome); got != trace.Complete.String() {
		t.Errorf("outcome %q, %s", got, root.attr(trace.AttrIncomplete))
	}
	for _, n := range root.all() {
		switch n.attr(trace.AttrKind) {
		case trace.KindUnseen.String(), "":
			t.Errorf("%s is of the kind %q", n.Name(), n.attr(trace.AttrKind))
		}
	}
}

// All topologies at once, each guest pinging with the same identifier and the same
// sequence numbers: no trace has anything of another lab's in it.
func TestTopologiesSideBySide(t *testing.T) {
	// Without a payload only addresses, buffers and namespaces tell the pings apart, and
	// two labs have the same addresses.
	for name, size := range map[string]int{"payload": 0, "no payload": pinger.NoPayload} {
		t.Run(name, func(t *testing.T) { sideBySide(t, size) })
	}
}

func sideBySide(t *testing.T, size int) {
	t.Helper()
	const count = 50
	var labs []*lab.Lab
	for _, topology := range lab.Paper() {
		labs = append(labs, up(t, topology.Name))
	}
	want := map[string]int{}
	roots, sum := exported(t, labs, agent.Options{}, func() {
		var pings sync.WaitGroup
		for _, l := range labs {
			for _, target := range targets(l) {
				want[l.Topology().Name] += count
				pings.Go(func() {
					r := ping(t, l, pinger.Config{Target: target, Count: count, Interval: time.Millisecond, ID: 4711, Size: size})
					if r.Lost() > 0 {
						t.Errorf("%s: %d of %d lost", l.Topology().Name, r.Lost(), count)
					}
				})
			}
		}
		pings.Wait()
	})
	if sum.Lost() != 0 || sum.Pings() != sum.Complete {
		t.Fatal(sum)
	}
	got := map[string]int{}
	for _, r := range roots {
		checkComplete(t, r)
		got[owner(t, r)]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// owner returns the topology of a trace's namespaces, which must all be of one.
func owner(t *testing.T, root *node) string {
	t.Helper()
	for _, n := range root.all() {
		if n.lab != root.lab {
			t.Errorf("%s of %q is in a trace of %q", n.Name(), n.lab, root.lab)
		}
	}
	return root.lab
}

// withoutSeq cuts the sequence number off the root's name.
func withoutSeq(tree string) string {
	head, rest, _ := strings.Cut(tree, "\n")
	name, place, _ := strings.Cut(head, " @")
	name, _, _ = strings.Cut(name, " seq ")
	return name + " @" + place + "\n" + rest
}
