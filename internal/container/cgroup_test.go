// SPDX-License-Identifier: Apache-2.0

package container_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/container"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	id    = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
	outer = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
	uid   = "5759a1ae-36ca-48a8-b20a-b0b5c8a90fb8"
	slice = "pod5759a1ae_36ca_48a8_b20a_b0b5c8a90fb8.slice"
)

// The paths are those that the runtimes write, by their versions and drivers.
func TestOfCgroup(t *testing.T) {
	of := func(runtime string) trace.Container { return trace.Container{ID: id, Runtime: runtime} }
	inPod := func(runtime string) trace.Container {
		return trace.Container{ID: id, Runtime: runtime, Pod: trace.Pod{UID: uid}}
	}
	called := func(name, runtime string) trace.Container {
		return trace.Container{ID: name, Name: name, Runtime: runtime}
	}
	none := trace.Container{}
	for name, tc := range map[string]struct {
		text string
		want trace.Container
	}{
		"docker, v2, systemd":           {"0::/system.slice/docker-" + id + ".scope", of(container.Docker)},
		"docker, v2, cgroupfs":          {"0::/docker/" + id, of(container.Docker)},
		"docker, v1, systemd":           {"11:memory:/system.slice/docker-" + id + ".scope\n1:name=systemd:/system.slice/docker-" + id + ".scope", of(container.Docker)},
		"docker, v1, cgroupfs, hybrid":  {"12:pids:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/", of(container.Docker)},
		"docker, rootless":              {"0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + id + ".scope", of(container.Docker)},
		"docker, parent configured":     {"0::/build.slice/docker-" + id + ".scope", of(container.Docker)},
		"docker, systemd inside":        {"0::/system.slice/docker-" + id + ".scope/system.slice/nginx.service", of(container.Docker)},
		"docker in docker":              {"0::/docker/" + outer + "/docker/" + id, of(container.Docker)},
		"docker, other cgroup root":     {"0::/../docker-" + id + ".scope", of(container.Docker)},
		"docker, far cgroup root":       {"0::/../../../system.slice/docker-" + id + ".scope", of(container.Docker)},
		"docker, going away":            {"0::/system.slice/docker-" + id + ".scope (deleted)", of(container.Docker)},
		"docker, old, in lxc":           {"9:perf_event:/" + id, of("")},
		"docker, ECS":                   {"9:perf_event:/ecs/55091c13b8cf4801b9f527f4601742204d/" + id, of("")},
		"podman, v2, systemd":           {"0::/machine.slice/libpod-" + id + ".scope", of(container.Podman)},
		"podman, crun's inner cgroup":   {"0::/machine.slice/libpod-" + id + ".scope/container", of(container.Podman)},
		"podman, rootless":              {"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope/container", of(container.Podman)},
		"podman, pod":                   {"0::/machine.slice/machine-libpod_pod_" + outer + ".slice/libpod-" + id + ".scope/container", of(container.Podman)},
		"podman, cgroupfs":              {"0::/libpod_parent/libpod-" + id, of(container.Podman)},
		"podman, split":                 {"0::/system.slice/web.service/libpod-payload-" + id, of(container.Podman)},
		"podman, conmon":                {"0::/machine.slice/libpod-conmon-" + id + ".scope", none},
		"nerdctl, systemd":              {"0::/system.slice/nerdctl-" + id + ".scope", of(container.Containerd)},
		"nerdctl, cgroupfs":             {"0::/default/" + id, of(container.Containerd)},
		"containerd, k8s, systemd":      {"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-" + slice + "/cri-containerd-" + id + ".scope", inPod(container.Containerd)},
		"containerd, k8s, guaranteed":   {"12:hugetlb:/kubepods.slice/kubepods-" + slice + "/cri-containerd-" + id + ".scope", inPod(container.Containerd)},
		"containerd, k8s, cgroupfs":     {"11:blkio:/kubepods/burstable/pod" + uid + "/" + id, inPod("")},
		"containerd, k8s, mixed driver": {"1:name=systemd:/system.slice/containerd.service/kubepods-burstable-" + slice + ":cri-containerd:" + id, inPod(container.Containerd)},
		"CRI-O, k8s, systemd":           {"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + slice + "/crio-" + id + ".scope", inPod(container.CRIO)},
		"CRI-O, k8s, inner cgroup":      {"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + slice + "/crio-" + id + ".scope/container", inPod(container.CRIO)},
		"CRI-O, k8s, cgroupfs":          {"0::/kubepods/besteffort/pod" + uid + "/crio-" + id, inPod(container.CRIO)},
		"CRI-O, conmon":                 {"0::/kubepods.slice/kubepods-" + slice + "/crio-conmon-" + id + ".scope", none},
		"docker, k8s":                   {"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-" + slice + "/docker-" + id + ".scope", inPod(container.Docker)},
		"kind, its node":                {"0::/system.slice/docker-" + id + ".scope/init.scope", of(container.Docker)},
		"kind, a pod": {
			"0::/system.slice/docker-" + outer + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/" +
				"kubelet-kubepods-besteffort-" + slice + "/cri-containerd-" + id + ".scope", inPod(container.Containerd),
		},
		"static pod": {
			"0::/kubepods/burstable/pod8e3d8a2a2bb5a0b1c1a9d6b4b1c8f9e0/" + id,
			trace.Container{ID: id, Pod: trace.Pod{UID: "8e3d8a2a2bb5a0b1c1a9d6b4b1c8f9e0"}},
		},
		"LXC, v2":                       {"0::/lxc.payload.web", called("web", container.LXC)},
		"LXC, systemd inside":           {"0::/lxc.payload.web-1/system.slice/ssh.service", called("web-1", container.LXC)},
		"LXC, v1":                       {"9:pids:/lxc/web\n1:name=systemd:/lxc/web/init.scope", called("web", container.LXC)},
		"LXC, dots and colons":          {"0::/lxc.payload.a.b:c", called("a.b:c", container.LXC)},
		"LXC, unprivileged":             {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/lxc.payload.web/init.scope", called("web", container.LXC)},
		"LXC, its monitor":              {"0::/lxc.monitor.web", none},
		"LXC in LXC":                    {"0::/lxc.payload.outer/lxc.payload.inner/init.scope", called("inner", container.LXC)},
		"LXC in LXC, its monitor":       {"0::/lxc.payload.outer/lxc.monitor.inner", called("outer", container.LXC)},
		"LXC, without a name":           {"0::/lxc.payload.", none},
		"Proxmox VE":                    {"0::/lxc/101/ns/system.slice/nginx.service", called("101", container.LXC)},
		"Proxmox VE, its monitor":       {"0::/lxc.monitor/101", none},
		"Incus, default project":        {"0::/lxc.payload.web/init.scope", called("web", container.LXC)},
		"Incus, another project":        {"0::/lxc.payload.shop_web/init.scope", called("shop_web", container.LXC)},
		"LXD, docker inside":            {"0::/lxc.payload.web/system.slice/docker-" + id + ".scope", of(container.Docker)},
		"nspawn, a service":             {"0::/machine.slice/systemd-nspawn@web.service/payload/init.scope", called("web", container.Nspawn)},
		"nspawn, a service, escaped":    {`0::/machine.slice/systemd-nspawn@web\x2dshop.service/payload`, called("web-shop", container.Nspawn)},
		"nspawn, an old one":            {"1:name=systemd:/machine.slice/systemd-nspawn@web.service/init.scope", called("web", container.Nspawn)},
		"nspawn, a scope":               {`0::/machine.slice/machine-web\x2dshop.scope/payload/system.slice/a.service`, called("web-shop", container.Nspawn)},
		"nspawn, its supervisor":        {"0::/machine.slice/machine-web.scope/supervisor", none},
		"nspawn, a service's own":       {"0::/machine.slice/systemd-nspawn@web.service/supervisor", none},
		"nspawn in LXC, its supervisor": {"0::/lxc.payload.outer/machine.slice/machine-web.scope/supervisor", called("outer", container.LXC)},
		"a machine of another manager":  {"0::/machine.slice/machine-web.scope", called("web", "")},
		"a machine, escaped twice":      {`0::/machine.slice/machine-a\x5cx2d\x2f\x00.scope`, called(`a\x2d\x2f\x00`, "")},
		"libvirt-lxc":                   {`0::/machine.slice/machine-lxc\x2d1234\x2dweb\x2dshop.scope`, called("web-shop", container.LibvirtLXC)},
		"libvirt-lxc, cgroupfs":         {"4:cpu:/machine/lxc-12-web.libvirt-lxc", called("web", container.LibvirtLXC)},
		"libvirt-lxc, an old one":       {"4:cpu:/machine/web.libvirt-lxc", called("web", container.LibvirtLXC)},
		"podman, in machine.slice":      {"0::/machine.slice/libpod-" + id + ".scope/container", of(container.Podman)},

		"deepest hierarchy":    {"2:cpu:/docker/" + outer + "\n1:name=systemd:/docker/" + outer + "/docker/" + id, of(container.Docker)},
		"within the container": {"0::/", none},
		"a service":            {"0::/system.slice/ssh.service", none},
		"a session":            {"0::/user.slice/user-1000.slice/session-2.scope", none},
		"a machine":            {"0::/machine.slice/machine-qemu\\x2d1\\x2dguest.scope/libvirt/emulator", none},
		"an ID too short":      {"0::/docker/" + id[1:], none},
		"an ID too long":       {"0::/docker/0" + id, none},
		"an image's digest":    {"0::/build/sha256-" + strings.ToUpper(id), none},
		"nothing":              {"", none},
		"nonsense":             {"0::\nx\n:::::\n", none},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"", "\n"} {
				got, ok := container.OfCgroup(tc.text + end)
				if diff := cmp.Diff(tc.want, got); diff != "" || ok != (tc.want != none) {
					t.Errorf("%v, %s", ok, diff)
				}
			}
		})
	}
}

func FuzzOfCgroup(f *testing.F) {
	f.Add("0::/system.slice/docker-" + id + ".scope\n")
	f.Add(`0::/machine.slice/machine-web\x2dshop.scope/payload`)
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := container.OfCgroup(text)
		if ok != (c.ID != "") || c.Name == "" && ok && len(c.ID) != 64 || c.Name == "" && !strings.Contains(text, c.ID) {
			t.Errorf("%v, %+v", ok, c)
		}
	})
}
