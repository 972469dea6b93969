// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/container/containertest"
)

// A container comes while the agent runs. It is meant by its name, which only its runtime
// knows, and its traces carry its name and ID.
func TestContainerIsFollowed(t *testing.T) {
	_, name := names(t, "container")
	id := fmt.Sprintf("%s%08x", strings.Repeat("f", 56), os.Getpid())
	f := follow(t, agent.Options{
		Scope:      agent.Scope{NetNS: []string{"shop-*"}, Netfilter: []string{agent.NoNetfilter}},
		Containers: true, ContainerSockets: []string{containertest.Docker(t, map[string]string{id: "shop-1"})},
	})
	ns := create(t, name[0])
	containertest.Process(t, containertest.Cgroup(t, "docker-"+id+".scope"), "web", ns.Do)
	f.resolved(1)
	f.named(ns, "shop-1")
	pingIn(t, ns, 10)
	if diff := cmp.Diff(map[string]int{"shop-1": 10}, f.traced()); diff != "" {
		t.Error(diff)
	}
	want := &trace.Container{ID: id, Name: "shop-1", Runtime: "docker"}
	if diff := cmp.Diff(want, f.traces[0].Root().NetNS.Container); diff != "" {
		t.Error(diff)
	}
}
