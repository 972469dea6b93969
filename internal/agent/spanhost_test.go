// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

// Two hosts are different if anything is that distinguishes clones, and one host is the same
// to each of its agents.
func TestSpanHost(t *testing.T) {
	files := func(contents ...string) func(string) ([]byte, error) {
		return func(name string) ([]byte, error) {
			for i, file := range clones {
				if name == file && i < len(contents) && contents[i] != "" {
					return []byte(contents[i] + "\n"), nil
				}
			}
			return nil, fs.ErrPermission
		}
	}
	seen := map[string]string{}
	for name, got := range map[string]string{
		"one":              spanHost("machine", files("boot 1", "product 1")),
		"booted again":     spanHost("machine", files("boot 2", "product 1")),
		"from a snapshot":  spanHost("machine", files("boot 1", "product 2")),
		"without root":     spanHost("machine", files("boot 1")),
		"another ID":       spanHost("other", files("boot 1", "product 1")),
		"nothing readable": spanHost("machine", files()),
	} {
		if seen[got] != "" {
			t.Errorf("%s is the same host as %s: %q", name, seen[got], got)
		}
		seen[got] = name
	}
	if got := spanHost("machine", files()); got != "machine" {
		t.Errorf("%q", got)
	}
	first, second := spanHost("machine", os.ReadFile), spanHost("machine", os.ReadFile)
	if first != second || !strings.HasPrefix(first, "machine\n") {
		t.Errorf("this host is %q, and then %q", first, second)
	}
}
