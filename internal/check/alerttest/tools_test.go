// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/check/alerttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// root is the top of the repository.
	root = "../../.."
	// unpacked is where .ci/install puts packages that it does not install.
	unpacked = ".cache/deb"
)

// The shipped files.
var (
	ruleFiles    = []string{root + "/examples/alerts/recording.rules.yml", root + "/examples/alerts/alerts.rules.yml", root + "/examples/alerts/fastpath.rules.yml", root + "/examples/alerts/probes.rules.yml"}
	readme       = root + "/examples/alerts/README.md"
	alertmanager = root + "/examples/alerts/alertmanager.yml"
	dashboard    = root + "/examples/grafana/dwell.json"
	runbook      = root + "/docs/runbook.md"
)

// program returns the path of a program of Prometheus or Alertmanager: the system's or
// the unpacked one. An ordinary user may be without.
func program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, candidate := range []string{name, filepath.Join(root, unpacked, "usr/bin", name)} {
			if path, err := exec.LookPath(candidate); err == nil {
				path, err = filepath.Abs(path)
				if err != nil {
					t.Fatal(err)
				}
				return path
			}
		}
	}
	if os.Getuid() == 0 {
		t.Fatalf("%s is not installed: .ci/install test", names[0])
	}
	t.Skipf("needs %s: sudo .ci/install test", names[0])
	return ""
}

// run fails the test with the output unless the program succeeds.
func run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", filepath.Base(program), args, err, out)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// load reads the shipped rules, by the base name of their file.
func load(t testing.TB) map[string]alerttest.File {
	t.Helper()
	files := map[string]alerttest.File{}
	for _, path := range ruleFiles {
		f, err := alerttest.Parse([]byte(read(t, path)))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		files[filepath.Base(path)] = f
	}
	return files
}

// rules returns all of them.
func rules(t testing.TB) []alerttest.Rule {
	t.Helper()
	var all []alerttest.Rule
	for _, f := range load(t) {
		for _, g := range f.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}
