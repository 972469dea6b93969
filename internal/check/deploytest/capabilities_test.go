// SPDX-License-Identifier: Apache-2.0

package deploytest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/privilege"
)

// checkCapabilities fails unless these are the capabilities of an agent, and those more, with or
// without CAP_ before them.
func checkCapabilities(t *testing.T, where string, got []string, more ...string) {
	t.Helper()
	want, names := slices.Clone(more), []string(nil)
	for _, u := range privilege.Agent() {
		want = append(want, u.String())
	}
	for _, name := range got {
		names = append(names, "CAP_"+strings.TrimPrefix(name, "CAP_"))
	}
	slices.Sort(want)
	slices.Sort(names)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("%s: capabilities (-want +got):\n%s", where, diff)
	}
}

func TestSystemdCapabilities(t *testing.T) {
	unit := read(t, "examples/systemd/dwell.service")
	for _, setting := range []string{"CapabilityBoundingSet", "AmbientCapabilities"} {
		line := regexp.MustCompile(`(?m)^` + setting + `=(.*)$`).FindStringSubmatch(unit)
		if line == nil {
			t.Errorf("no %s", setting)
			continue
		}
		checkCapabilities(t, setting, strings.Fields(line[1]))
	}
}

// A service that is not root's can make no directory in /run for the API's socket, and its
// umask would keep clients out of one.
func TestSystemdDirectoryOfTheSocket(t *testing.T) {
	unit := read(t, "examples/systemd/dwell.service")
	for _, setting := range []string{"RuntimeDirectory=dwell\n", "RuntimeDirectoryMode=0755\n"} {
		if !strings.Contains(unit, "\n"+setting) {
			t.Errorf("no %s", setting)
		}
	}
}

// The table has a row for each, and for what the fast path and the firewall need beside them.
func TestDocumentedCapabilities(t *testing.T) {
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(CAP_[A-Z_]+)` \\|").FindAllStringSubmatch(read(t, "docs/deployment.md"), -1) {
		got = append(got, row[1])
	}
	checkCapabilities(t, "docs/deployment.md", got, rawSockets)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
