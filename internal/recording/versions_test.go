// SPDX-License-Identifier: Apache-2.0

package recording_test

import (
	"os"
	"strings"
	"testing"
)

// A recording of the first version, which knew no containers, is read as it was.
func TestVersion1(t *testing.T) {
	f, err := os.Open("testdata/version1.dwell")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, summary, err := replay(t, f)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Events != 53 || len(lines) != 4 || summary.Correlator.Overflow != 7 {
		t.Errorf("%d traces, %+v", len(lines), summary)
	}
	all := strings.Join(lines, "")
	for word, want := range map[string]bool{`"ns-7"`: true, `"hypervisor"`: true, `"eth-`: true, "container.id": false} {
		if strings.Contains(all, word) != want {
			t.Errorf("%s in the traces: %v", word, !want)
		}
	}
}

// The traffic of the property test has containers and pods in it, and traces left out.
func TestContainersAreReplayed(t *testing.T) {
	file, want := record(t, 1, 60)
	all := strings.Join(want, "")
	for _, word := range []string{"container.id", "container.name", "container.runtime", "k8s.pod.uid"} {
		if !strings.Contains(all, word) {
			t.Errorf("no %s in the traces", word)
		}
	}
	got, summary, err := replay(t, strings.NewReader(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := differ(want, got); diff != "" {
		t.Error(diff)
	}
	var finished uint64
	for _, n := range summary.Correlator.Incomplete {
		finished += n
	}
	if finished += summary.Correlator.Complete + summary.Correlator.Dropped; summary.Traces >= finished {
		t.Errorf("%d traces of %d: none is left out", summary.Traces, finished)
	}
}
