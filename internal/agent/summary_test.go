// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/loss"
)

// noLoss are the counters of bpf and correlate that count no loss.
var noLoss = []string{
	"Kernel.CPU.Emitted", "Kernel.CPU.SampledOut", "Kernel.CPU.LeftDrops", "Correlator.Events", "Correlator.Open", "Correlator.Oldest", "Correlator.Unnamed", "Correlator.Complete", "Correlator.Dropped",
	"Correlator.Expired", "Correlator.Unreachable", "Correlator.Partial", "Correlator.Incomplete", "Correlator.Duplicates",
}

// counters sets each number in a structure to another value, the first to 1 more than
// last, and returns the values by name.
func counters(v reflect.Value, path string, last uint64, found map[string]uint64) uint64 {
	for i := range v.NumField() {
		field, name := v.Field(i), path+"."+v.Type().Field(i).Name
		switch {
		case field.CanUint():
			last++
			field.SetUint(last)
			found[name] = last
		case field.Type() == reflect.TypeFor[[]bpf.CPUStats]():
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
			last = counters(field.Index(0), name, last, found)
		default:
			found[name] = 0 // whether it is in noLoss is to be checked
		}
	}
	return last
}

// A counter that is new in bpf or correlate is a loss or is in noLoss.
func TestEachCounterIsALossOrNot(t *testing.T) {
	var s agent.Summary
	found := map[string]uint64{}
	last := counters(reflect.ValueOf(&s.Kernel).Elem(), "Kernel", 100, found)
	counters(reflect.ValueOf(&s.Correlator).Elem(), "Correlator", last, found)
	losses := s.Losses()
	lost := map[uint64]bool{}
	for _, l := range loss.Table() {
		lost[*l.Of(&losses)] = true
	}
	for name, value := range found {
		if no := slices.Contains(noLoss, name); lost[value] == no {
			t.Errorf("%s (%d): in the losses %v, in noLoss %v; want one of them. The losses are %+v", name, value, lost[value], no, losses)
		}
	}
	if n := len(found) - len(noLoss); n != len(loss.Table()) || len(lost) != n {
		t.Errorf("%d counters of losses, %d different values, %d rows", n, len(lost), len(loss.Table()))
	}
}

// The summary is one line while nothing is lost, and has one more for each loss.
func TestSummaryHasEachLoss(t *testing.T) {
	var s agent.Summary
	if text := s.String(); strings.Contains(text, "\n") {
		t.Errorf("with nothing lost:\n%s", text)
	}
	found := map[string]uint64{}
	last := counters(reflect.ValueOf(&s.Kernel).Elem(), "Kernel", 100, found)
	counters(reflect.ValueOf(&s.Correlator).Elem(), "Correlator", last, found)
	losses, lines := s.Losses(), strings.Split(s.String(), "\n")
	for i, l := range loss.Table() {
		want := fmt.Sprintf("  %d %s. ", *l.Of(&losses), l.Sentence)
		if len(lines) <= i+1 || !strings.HasPrefix(lines[i+1], want) {
			t.Errorf("line %d does not begin with %q:\n%v", i+1, want, s)
		}
	}
}
