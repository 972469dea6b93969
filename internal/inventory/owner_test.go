// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/container"
	"github.com/dwelltrace/dwell/internal/container/containertest"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// containerID is an ID of this test's own.
func containerID(digit string) string {
	return fmt.Sprintf("%s%08x", strings.Repeat(digit, 56), os.Getpid())
}

func inodeOf(t *testing.T, p *os.Process) uint32 {
	t.Helper()
	inode := netns.MountedInode(fmt.Sprintf("/proc/%d/ns/net", p.Pid))
	if inode == 0 {
		t.Fatal("the process has no namespace")
	}
	return inode
}

func TestContainersNameNamespaces(t *testing.T) {
	privilegetest.NetNS(t)
	web, app, pause, tool := containerID("a"), containerID("b"), containerID("c"), containerID("d")
	const slice = "kubepods-burstable-pod5759a1ae_36ca_48a8_b20a_b0b5c8a90fb8.slice"
	ofWeb := inodeOf(t, containertest.Process(t, containertest.Cgroup(t, "docker-"+web+".scope"), "web", nil))
	// The pod's namespace has a name, as CNI gives one, and the sandbox is there first.
	pod := create(t, "cni")
	pauseGroup := containertest.Cgroup(t, slice+"/cri-containerd-"+pause+".scope")
	containertest.Process(t, pauseGroup, "pause", pod.Do)
	containertest.Process(t, containertest.Cgroup(t, slice+"/cri-containerd-"+app+".scope"), "app", pod.Do)
	// From within a container that has the host's network, somebody has entered a namespace.
	visited, toolGroup := create(t, "visited"), containertest.Cgroup(t, "docker-"+tool+".scope")
	containertest.Process(t, toolGroup, "bash", func(start func() error) error { return start() })
	containertest.Process(t, toolGroup, "ping", visited.Do)

	podUID := trace.Pod{UID: "5759a1ae-36ca-48a8-b20a-b0b5c8a90fb8"}
	want := map[uint32]*trace.NetNS{
		ofWeb: {Inode: ofWeb, Name: "web", Container: &trace.Container{ID: web, Name: "web", Runtime: container.Docker}},
		pod.Inode(): {Inode: pod.Inode(), Name: app[:12], Container: &trace.Container{
			ID: app, Runtime: container.Containerd, Pod: podUID,
		}},
		visited.Inode(): {Inode: visited.Inode(), Name: visited.Name()},
	}
	socket := containertest.Docker(t, map[string]string{web: "web", tool: "tool"})
	v, _ := newInventory(t, Config{Containers: true, Sockets: []string{socket}})
	v.finder.names.Settle(t.Context()) // New has waited a second at most
	got := map[uint32]*trace.NetNS{}
	for inode := range want {
		got[inode] = v.NetNS(inode)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for ref, inode := range map[string]uint32{"web": ofWeb, app[:8] + "*": pod.Inode()} {
		if found := v.Find(ref); !cmp.Equal(found, []uint32{inode}) {
			t.Errorf("Find(%q) = %v, want %d", ref, found, inode)
		}
	}
	off, _ := newInventory(t, Config{})
	if ns := off.NetNS(ofWeb); ns.Container != nil || ns.Name != fmt.Sprint("netns-", ofWeb) {
		t.Errorf("without containers: %+v", ns)
	}
}

// Containers that have names need no runtime to name them. One of the same name, of another
// runtime, is another one; the process that manages one is not in it.
func TestContainersWithNames(t *testing.T) {
	privilegetest.NetNS(t)
	name := fmt.Sprintf("web-%d", os.Getpid())
	lxc := inodeOf(t, containertest.Process(t, containertest.Cgroup(t, "lxc.payload."+name), "init", nil))
	scope := containertest.Cgroup(t, `machine.slice/machine-lxc\x2d1\x2d`+strings.ReplaceAll(name, "-", `\x2d`)+".scope")
	manager := inodeOf(t, containertest.Process(t, scope, "libvirt_lxc", nil))
	libvirt := inodeOf(t, containertest.Process(t, scope, "init", nil))
	v, _ := newInventory(t, Config{Containers: true, Sockets: []string{containertest.Docker(t, nil)}})
	for inode, runtime := range map[uint32]string{lxc: container.LXC, libvirt: container.LibvirtLXC} {
		want := trace.Container{ID: name, Name: name, Runtime: runtime}
		if ns := v.NetNS(inode); ns.Name != name || ns.Container == nil || *ns.Container != want {
			t.Errorf("%s: %+v, container %+v", runtime, ns, ns.Container)
		}
	}
	if ns := v.NetNS(manager); ns.Container != nil {
		t.Errorf("the manager's: %+v", ns.Container)
	}
}

// The name is known only after a question, and a container only once its process is there.
func TestContainerComesLater(t *testing.T) {
	privilegetest.NetNS(t)
	web := containerID("e")
	socket := containertest.Docker(t, map[string]string{web: "late"})
	v, c := newInventory(t, Config{Containers: true, Sockets: []string{socket}})
	ns := create(t, "sandbox")
	if got := v.NetNS(ns.Inode()); got.Container != nil || got.Name != ns.Name() {
		t.Fatalf("without a process: %+v", got)
	}
	containertest.Process(t, containertest.Cgroup(t, "docker-"+web+".scope"), "web", ns.Do)
	v.Refresh(Everywhere)
	for deadline := time.Now().Add(30 * time.Second); ; {
		c.advance(v.cfg.MaxAge)
		v.LookAtNew()
		got := v.NetNS(ns.Inode())
		if got.Container != nil && got.Name == "late" && got.Container.Name == "late" && got.Container.ID == web {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, container %+v", got, got.Container)
		}
	}
}
