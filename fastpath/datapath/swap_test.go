// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// While tables are swapped, each packet is judged by one of them and counted once: none is lost,
// none is judged by neither.
func TestSwapUnderFlood(t *testing.T) {
	const swaps = 250
	for _, backend := range backends() {
		t.Run(backend, func(t *testing.T) {
			l := newLab(t)
			d := l.attached()
			l.layout(d, backend)
			drop := []ruleset.Rule{rule(1, ruleset.Deny, header.Dport, 2000, 2000), rule(2, ruleset.Accept, header.Dport, 1, 0xffff)}
			pass := []ruleset.Rule{rule(3, ruleset.Accept, header.Dport, 2000, 2000), rule(4, ruleset.Deny, header.Dport, 1, 0xffff)}
			both := func(rules []ruleset.Rule) Generation {
				return Generation{
					Ingress4: compile(t, header.V4, diagram.Options{Stateless: true}, ruleset.Pass, rules...),
					Forward4: compile(t, header.V4, diagram.Options{}, ruleset.Pass, rules...),
				}
			}
			tables := []Generation{both(drop), both(pass)}
			swap(t, d, tables[0])
			stop, sent := make(chan struct{}), make(chan uint64)
			flooding := guestFrame()
			flooding.dport = 2000
			burst := make([][]byte, 64)
			for i := range burst {
				burst[i] = flooding.bytes()
			}
			go func() {
				var n uint64
				defer func() { sent <- n }()
				for {
					select {
					case <-stop:
						return
					default:
						l.send(l.guest, "g0", burst...)
						n += uint64(len(burst))
					}
				}
			}()
			total := map[uint32]uint64{}
			for i := range swaps {
				swap(t, d, tables[(i+1)%2])
				l.collect(d, tables, total)
			}
			close(stop)
			n := <-sent
			eventually(t, map[string]uint64{"judged": n, "by others": 0}, func() map[string]uint64 {
				l.collect(d, tables, total)
				present := l.present(d, tables)
				judged := total[1] + total[3] + present[1] + present[3]
				others := total[2] + total[4] + present[2] + present[4] + l.counted(backend, false, "from")[3]
				return map[string]uint64{"judged": judged, "by others": others}
			})
			if total[1] == 0 || total[3] == 0 {
				t.Errorf("packets by rule: %v: one of the tables never judged", total)
			}
			t.Logf("%d packets in %d swaps, by rule %v", n, swaps, total)
		})
	}
}

// outcomes returns a table's. The first of two generations is that of odd numbers.
func outcomes(tables []Generation, c TableCounts) []ruleset.Outcome {
	g := tables[(c.Generation+1)%2]
	if c.Kind == Ingress4 {
		return g.Ingress4.Diagram.Leaves
	}
	return g.Forward4.Diagram.Leaves
}

// collect adds what was counted in tables that are gone.
func (l *lab) collect(d *Datapath, tables []Generation, total map[uint32]uint64) {
	l.t.Helper()
	all, err := d.Counters()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range all {
		for leaf, n := range c.Leaves {
			if c.Final && n.Packets > 0 {
				total[outcomes(tables, c)[leaf].Decider] += n.Packets
			}
		}
	}
}

// present returns what was counted in tables in force.
func (l *lab) present(d *Datapath, tables []Generation) map[uint32]uint64 {
	l.t.Helper()
	all, err := d.Counters()
	if err != nil {
		l.t.Fatal(err)
	}
	by := map[uint32]uint64{}
	for _, c := range all {
		for leaf, n := range c.Leaves {
			if n.Packets > 0 {
				by[outcomes(tables, c)[leaf].Decider] += n.Packets
			}
		}
	}
	return by
}

// The counts of a table that was replaced come once, and bytes are IP's.
func TestCounters(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	first := swap(t, d, Generation{Ingress4: always(ruleset.Drop)})
	f := guestFrame()
	for range 3 {
		l.judge(d, f.bytes())
	}
	second := swap(t, d, Generation{Ingress4: always(ruleset.Drop), Forward6: always(ruleset.Pass)})
	l.judge(d, f.bytes())
	old := TableCounts{Kind: Ingress4, Generation: first, Final: true, Leaves: []LeafCount{{}, {3, 96}}}
	now := []TableCounts{
		{Kind: Ingress4, Generation: second, Leaves: []LeafCount{{}, {1, 32}}},
		{Kind: Forward6, Generation: second, Leaves: []LeafCount{{}, {}}},
	}
	for _, want := range [][]TableCounts{append([]TableCounts{old}, now...), now} {
		got, err := d.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
	}
}

// Each leaf has counters of its own, in whatever element they are.
func TestEachLeafCounts(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	var rules []ruleset.Rule
	for port := uint32(1); port <= 100; port++ {
		rules = append(rules, rule(port, ruleset.Deny, header.Dport, port, port))
	}
	table := compile(t, header.V4, diagram.Options{Stateless: true}, ruleset.Pass, rules...)
	swap(t, d, Generation{Ingress4: table})
	f := guestFrame()
	want := map[uint32]uint64{}
	for port := uint16(1); port <= 100; port++ {
		f.dport = port
		for range port%3 + 1 {
			l.judge(d, f.bytes())
			want[uint32(port)]++
		}
	}
	got := l.leaves(d, map[Kind][]ruleset.Outcome{Ingress4: table.Diagram.Leaves})
	if diff := cmp.Diff(map[Kind]map[uint32]uint64{Ingress4: want}, got); diff != "" {
		t.Errorf("packets by rule (-want +got):\n%s", diff)
	}
}

// If one table cannot be put in force, those before it are taken back.
func TestSwapIsUndone(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	generation := swap(t, d, everywhere(always(ruleset.Drop)))
	spec, err := loadPlain()
	if err != nil {
		t.Fatal(err)
	}
	small := spec.Maps[plainMapTables]
	small.MaxEntries = uint32(Forward4) // no room for this one
	tables, err := ebpf.NewMap(small)
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	whole := d.maps[plainMapTables]
	d.maps[plainMapTables] = tables
	_, err = d.Swap(everywhere(always(ruleset.Pass)))
	d.maps[plainMapTables] = whole
	if err == nil || !strings.Contains(err.Error(), "table forward4") {
		t.Fatalf("error %v", err)
	}
	for k := range Forward4 {
		var m *ebpf.Map
		if err := tables.Lookup(uint32(k), &m); err != nil {
			t.Fatal(err)
		}
		if h, err := readHead(m); err != nil || h.generation != generation {
			t.Errorf("table %s is of generation %d, want %d: %v", k, h.generation, generation, err)
		}
		m.Close()
	}
	if got := swap(t, d, everywhere(always(ruleset.Drop))); got != generation+1 {
		t.Errorf("the next generation is %d", got)
	}
}
