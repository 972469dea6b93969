// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// enum returns the names of a C enum's constants by value, without a prefix and as words of Go.
func enum(t *testing.T, name, prefix string) map[uint64]string {
	t.Helper()
	spec, err := loadPlain()
	if err != nil {
		t.Fatal(err)
	}
	var e *btf.Enum
	if err := spec.Types.TypeByName(name, &e); err != nil {
		t.Fatal(err)
	}
	words := map[uint64]string{}
	for _, v := range e.Values {
		words[v.Value] = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(v.Name, prefix)), "_", "-")
	}
	return words
}

// What programs and package flow call by the same number has the same name.
func TestNumbersOfReasons(t *testing.T) {
	want := enum(t, "reason", "REASON_")
	got := map[uint64]string{uint64(len(flow.Reasons())): "reasons"}
	for _, r := range flow.Reasons() {
		got[uint64(r)] = r.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-C +Go):\n%s", diff)
	}
	if n := len(plainCount{}.Slow); n != len(flow.Reasons()) {
		t.Errorf("packets are counted by %d reasons, of %d", n, len(flow.Reasons()))
	}
}

func TestNumbersOfModesAndDirections(t *testing.T) {
	modes := map[uint64]string{}
	for m := flow.Off; m <= flow.On; m++ {
		modes[uint64(m)] = m.String()
	}
	if diff := cmp.Diff(enum(t, "mode", "MODE_"), modes); diff != "" {
		t.Errorf("modes (-C +Go):\n%s", diff)
	}
	ways := map[uint64]string{uint64(directions): "directions"}
	for d := flow.FromTenant; d <= flow.ToTenant; d++ {
		ways[uint64(d)] = d.String() + "-tenant"
	}
	if diff := cmp.Diff(enum(t, "direction", ""), ways); diff != "" {
		t.Errorf("directions (-C +Go):\n%s", diff)
	}
}

// The maps have room for what Go says, and values of the size that Go reads.
func TestLayout(t *testing.T) {
	spec, err := loadPlain()
	if err != nil {
		t.Fatal(err)
	}
	type form struct{ Entries, Key, Value uint32 }
	size := func(v any) uint32 { return uint32(binary.Size(v)) }
	want := map[string]form{
		plainMapTenants:  {MaxTenants, 4, size(plainTenant{})},
		plainMapUsage:    {MaxTenants, 4, 8},
		plainMapDevices:  {MaxDevices, 4, size(plainDevice{})},
		plainMapWatched:  {MaxWatched, size(plainKey6{}), size(plainWatch{})},
		plainMapFlows4:   {DefaultFlows, size(plainKey4{}), size(plainFlow{})},
		plainMapFlows6:   {DefaultFlows, size(plainKey6{}), size(plainFlow{})},
		plainMapEpochs:   {epochs, 4, 8},
		plainMapSettings: {1, 4, size(plainSetting{})},
		plainMapCounts:   {MaxTenants * directions, 4, size(plainCount{})},
		plainMapUnasked:  {1, 4, 8},
		plainMapTraced:   {slotEgress + 1, 4, 4},
	}
	got := map[string]form{}
	for name := range want {
		m := spec.Maps[name]
		got[name] = form{m.MaxEntries, m.KeySize, m.ValueSize}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("maps (-Go +C):\n%s", diff)
	}
	var c *btf.Struct
	if err := spec.Types.TypeByName("candidate", &c); err != nil {
		t.Fatal(err)
	}
	offsets := []uint32{c.Size}
	for _, m := range c.Members {
		if m.Name != "_pad" {
			offsets = append(offsets, m.Offset.Bytes())
		}
	}
	if diff := cmp.Diff([]uint32{candidateBytes, candidateFamily, candidateID, candidateBackID, candidateKey, candidateBack}, offsets); diff != "" {
		t.Errorf("candidate (-Go +C):\n%s", diff)
	}
	source, err := os.ReadFile("c/maps.h")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("EPOCH_ALL = %d, EPOCH_ANY = MAX_TENANTS", epochAll); epochAny != MaxTenants || !strings.Contains(string(source), want) {
		t.Errorf("c/maps.h does not say %q", want)
	}
	if want := "SLOT_INGRESS, SLOT_EGRESS,"; slotIngress != 0 || slotEgress != 1 || !strings.Contains(string(source), want) {
		t.Errorf("c/maps.h does not say %q", want)
	}
}
