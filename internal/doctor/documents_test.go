// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
)

// The kernels that users are told they need are those of the table of hooks.
func TestDocumentsNameTheKernels(t *testing.T) {
	tracing := event.All().Since(event.Tracepoint).String()
	netfilter := event.All().Since(event.NetfilterProgram).String()
	// But not what some kernel is said to do.
	mention := regexp.MustCompile(`Linux (\d+\.\d+)( frees)?`)
	for name, want := range map[string][]string{
		"README.md":                 {tracing, netfilter},
		"docs/deployment.md":        {netfilter},
		"docs/configuration.md":     {netfilter},
		"examples/agent/dwell.yaml": {netfilter},
		"bpf/doc.go":                {tracing, netfilter},
		"bpf/netfilter.go":          {netfilter},
		"internal/agent/scope.go":   {netfilter},
		"internal/config/fields.go": {netfilter},
	} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range mention.FindAllStringSubmatch(string(text), -1) {
			if m[2] == "" && !slices.Contains(got, m[1]) {
				got = append(got, m[1])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: versions of Linux (-needed +named):\n%s", name, diff)
		}
	}
}
