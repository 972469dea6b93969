// SPDX-License-Identifier: Apache-2.0

package deploytest_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the top of the repository.
const root = "../../.."

// container is what internal/check/deploy prints of each.
type container struct {
	Name, Overlay, Image                                     string
	Args, CapAdd, CapDrop, Ports, Files, Writable, Aliases   []string
	Privileged, ReadOnly, NoEscalation, HostPID, HostNetwork bool
}

// service returns the last part of the name.
func (c container) service() string { return c.Name[strings.LastIndex(c.Name, "/")+1:] }

// containers returns what internal/check/deploy reads. That it reads at all is a test of each
// file's form.
func containers(t *testing.T) []container {
	t.Helper()
	program := filepath.Join(t.TempDir(), "deploy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join(root, "internal/check/deploy")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building internal/check/deploy: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program, root)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var all []container
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestContainers(t *testing.T) {
	all := containers(t)
	t.Run("each is confined and pinned", func(t *testing.T) {
		for _, c := range all {
			checkContainer(t, c)
		}
	})
	asIs := slices.DeleteFunc(slices.Clone(all), func(c container) bool { return c.Overlay != "" })
	t.Run("profiles", func(t *testing.T) { checkProfiles(t, asIs) })
	t.Run("tenants", func(t *testing.T) { checkTenantBackends(t, asIs) })
	t.Run("agents", func(t *testing.T) {
		agents := map[string]int{}
		for _, c := range all {
			if c.service() != "dwell" {
				continue
			}
			agents[c.Overlay]++
			if c.Overlay == "" {
				checkCapabilities(t, c.Name, c.CapAdd)
				if slices.Contains(c.Writable, bpfFileSystem) {
					t.Errorf("%s: may pin programs, and does not need to", c.Name)
				}
			} else {
				checkFastPathAgent(t, c)
			}
		}
		// Five ways to start compose, and a DaemonSet.
		if want := map[string]int{"": 6, "fastpath": 6}; !maps.Equal(agents, want) {
			t.Errorf("agents in docker-compose.yml and examples/kubernetes, by what is laid over: %v", agents)
		}
	})
}

func checkContainer(t *testing.T, c container) {
	t.Helper()
	ours := strings.HasPrefix(c.Image, "dwelltrace/dwell:")
	if pinned := regexp.MustCompile(`^[a-z/-]+:v?\d+\.\d+\.\d+$`); !ours && !pinned.MatchString(c.Image) {
		t.Errorf("%s: image %s is not pinned by version", c.Name, c.Image)
	}
	inHost := c.HostNetwork && (c.Overlay != "fastpath" || c.service() != "dwell")
	if c.Privileged || inHost || !c.NoEscalation || !cmp.Equal(c.CapDrop, []string{"ALL"}) {
		t.Errorf("%s: has more rights than it needs: %+v", c.Name, c)
	}
	if !ours && (len(c.CapAdd) > 0 || c.HostPID) {
		t.Errorf("%s: has capabilities %v, the host's processes: %v", c.Name, c.CapAdd, c.HostPID)
	}
	if ours && !c.ReadOnly {
		t.Errorf("%s: can write to its file system", c.Name)
	}
	for _, port := range c.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s: port %s is published to everybody", c.Name, port)
		}
	}
	for _, file := range c.Files {
		// Docker makes a directory of what is not there.
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// Each way to start it has one place for traces, and what belongs to that.
func checkProfiles(t *testing.T, all []container) {
	t.Helper()
	always := []string{"alertmanager", "dwell", "otel-collector", "prometheus"}
	for profile, more := range map[string][]string{
		"":           {"jaeger"},
		"jaeger":     {"jaeger"},
		"demo":       {"demo", "jaeger", "jaeger-blue", "jaeger-red"},
		"tempo":      {"grafana", "tempo"},
		"demo-tempo": {"demo", "grafana", "tempo"},
	} {
		var got []string
		for _, c := range all {
			if p, name, _ := strings.Cut(c.Name, "/"); p == profile {
				got = append(got, name)
			}
		}
		want := slices.Concat(always, more)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("profile %q (-want +got):\n%s", profile, diff)
		}
	}
}
