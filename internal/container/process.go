// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"os"
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Process is a process in a container.
type Process struct {
	Container trace.Container
	// Started is the start time in clock ticks since boot; it is not unique.
	Started uint64
	// Sandbox is set if it is one that only holds on to a pod's namespaces.
	Sandbox bool
}

// OfProcess returns the process whose directory in /proc it is, if it is in a container.
func OfProcess(dir string) (Process, bool) {
	text, err := os.ReadFile(dir + "/cgroup")
	if err != nil {
		return Process{}, false
	}
	c, ok := OfCgroup(string(text))
	if !ok {
		return Process{}, false
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Process{}, false
	}
	name, started, ok := parseStat(stat)
	if c.Name != "" && isManager(name) {
		return Process{}, false
	}
	return Process{c, started, isSandbox(name)}, ok
}

// parseStat takes the name (2) and the start time (22) from /proc/PID/stat, see
// proc_pid_stat(5). The name is in parentheses and may have any in it.
func parseStat(stat []byte) (name string, started uint64, ok bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	const startTime = 22 - 3 // fields are counted from 1, and the third comes next
	fields := bytes.Fields(stat[end+1:])
	if len(fields) <= startTime {
		return "", 0, false
	}
	started, err := strconv.ParseUint(string(fields[startTime]), 10, 64)
	return string(stat[open+1 : end]), started, err == nil
}

// isSandbox knows the programs that Kubernetes and podman start first in a pod.
func isSandbox(name string) bool {
	return name == "pause" || name == "catatonit" || name == "podman-pause"
}

// isManager knows the programs that hold a container of libvirt's or systemd's. They may be
// in its cgroup, but are not in its namespaces.
func isManager(name string) bool { return name == "libvirt_lxc" || name == "systemd-nspawn" }
