// SPDX-License-Identifier: Apache-2.0

// Package container finds out which container a process is in, and what its runtime calls
// it.
//
// Runtimes differ in everything but one thing: each puts a container into a cgroup of its
// own and its ID, 64 hexadecimal digits, into the cgroup's path. That needs no rights
// beyond reading /proc and no request. Only the runtime knows names; it is queried
// through its socket, if that is enabled: see [Names]. Containers that are rather machines,
// such as those of LXC and systemd-nspawn, have their names in the path and no ID.
package container

import (
	"regexp"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The runtimes, as OpenTelemetry's container.runtime.name and the Container Runtime
// Interface's Version call them.
const (
	Docker     = "docker"
	Containerd = "containerd"
	CRIO       = "cri-o"
	Podman     = "podman"
)

// runtimeOf returns the runtime that puts this before or above the ID.
func runtimeOf(mark string) string {
	switch mark {
	case "docker":
		return Docker
	case "cri-containerd", "containerd", "nerdctl":
		return Containerd
	case "default", "k8s.io": // containerd's own name spaces, with cgroupfs
		return Containerd
	case "crio":
		return CRIO
	case "libpod", "libpod_parent", "libpod-payload": // the last in Quadlet's units
		return Podman
	case "libpod-conmon", "crio-conmon":
		return monitor
	}
	return ""
}

// monitor marks the helper process of a container that holds its terminal and exit
// status: it is not in the container.
const monitor = "conmon"

// unit matches the part of a path that a container gives: the ID with what the runtime
// puts before it, as a directory (cgroupfs driver), as a systemd scope, or as
// slice:prefix:ID where a runtime without the systemd driver was given a path for it.
var unit = regexp.MustCompile(`^(?:.*?:)??(?:([a-z][a-z0-9_.-]*)[-:])?([0-9a-f]{64})(?:\.scope)?$`)

// pod matches the part that a Kubernetes pod gives. systemd takes "-" for a "/", so there
// the UID is written with "_". A pod from a file has the hash of it for a UID.
var pod = regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice|$)`)

// OfCgroup returns the container that a process is in, by the contents of its
// /proc/PID/cgroup: see cgroups(7). If containers are in containers, as those of a kind
// cluster are, it is the innermost. There is none if no path has an ID or a name in it, as
// for the processes of this container seen from within. A name is also the ID.
func OfCgroup(text string) (trace.Container, bool) {
	var best trace.Container
	depth := 0
	for line := range strings.Lines(text) {
		// hierarchy:controllers:path, and the path may have colons in it.
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		if c, d := ofPath(strings.TrimSuffix(fields[2], " (deleted)")); d > depth {
			best, depth = c, d
		}
	}
	return best, depth > 0
}

// ofPath returns the innermost container of a path and how deep it is, 0 if there is none.
func ofPath(path string) (c trace.Container, depth int) {
	parts := strings.Split(path, "/")
	for i := len(parts) - 1; i > 0; i-- {
		m := unit.FindStringSubmatch(parts[i])
		if m == nil {
			if c, ok := machineOf(parts, i); ok {
				return c, i
			}
			continue
		}
		runtime := runtimeOf(m[1])
		if m[1] == "" {
			runtime = runtimeOf(parts[i-1])
		}
		if runtime == monitor {
			return trace.Container{}, 0
		}
		return trace.Container{ID: m[2], Runtime: runtime, Pod: trace.Pod{UID: podUID(parts[:i+1])}}, i
	}
	return trace.Container{}, 0
}

// podUID returns the UID of the pod that the last part, or what is around it, belongs to.
func podUID(parts []string) string {
	last, _, _ := strings.Cut(parts[len(parts)-1], ":")
	for _, part := range []string{last, parts[len(parts)-2]} {
		if m := pod.FindStringSubmatch(part); m != nil {
			return strings.ReplaceAll(m[1], "_", "-")
		}
	}
	return ""
}
