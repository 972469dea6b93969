// SPDX-License-Identifier: Apache-2.0

package container

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The runtimes of containers that have a name in place of an ID. Incus and LXD put theirs
// where LXC itself does.
const (
	LXC        = "lxc"
	Nspawn     = "systemd-nspawn"
	LibvirtLXC = "libvirt-lxc"
)

// libvirtName matches what libvirt calls a guest among the machines of systemd: driver,
// number and name, which it may cut off.
var libvirtName = regexp.MustCompile(`^(lxc|qemu)-[0-9]+-(.+)$`)

// escaped matches a byte as systemd.unit(5) writes it.
var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// machineOf returns the container that the i-th part of a cgroup's path is, among those
// that have names:
//
//   - lxc.payload.NAME and, before LXC 4.0 and in Proxmox VE, lxc/NAME; see lxc.container.conf(5).
//   - machine-NAME.scope and systemd-nspawn@NAME.service, where systemd-machined(8) keeps
//     all machines. With a directory "payload" below, it is systemd-nspawn's, whose own
//     process is in "supervisor".
//   - NAME.libvirt-lxc, of libvirt without systemd.
//
// Virtual machines are left out: nothing in them is in a namespace of this host.
func machineOf(parts []string, i int) (trace.Container, bool) {
	part := parts[i]
	if name, ok := strings.CutPrefix(part, "lxc.payload."); ok {
		return named(name, LXC)
	}
	if parts[i-1] == "lxc" {
		return named(part, LXC)
	}
	if name, ok := strings.CutSuffix(part, ".libvirt-lxc"); ok {
		if m := libvirtName.FindStringSubmatch(name); m != nil {
			name = m[2]
		}
		return named(name, LibvirtLXC)
	}
	below := ""
	if i+1 < len(parts) {
		below = parts[i+1]
	}
	name, runtime, ok := systemdMachine(part)
	if !ok || below == "supervisor" {
		return trace.Container{}, false
	}
	if below == "payload" {
		runtime = Nspawn
	}
	return named(name, runtime)
}

// systemdMachine returns what a unit's name says about the container that it is.
func systemdMachine(unit string) (name, runtime string, ok bool) {
	if name, ok := between(unit, "systemd-nspawn@", ".service"); ok {
		return unescape(name), Nspawn, true
	}
	name, ok = between(unit, "machine-", ".scope")
	if !ok {
		return "", "", false
	}
	name = unescape(name)
	m := libvirtName.FindStringSubmatch(name)
	if m == nil {
		return name, "", true
	}
	return m[2], LibvirtLXC, m[1] == "lxc"
}

func named(name, runtime string) (trace.Container, bool) {
	return trace.Container{ID: name, Name: name, Runtime: runtime}, name != ""
}

func between(s, before, after string) (string, bool) {
	s, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
}

// unescape reads a name as systemd-escape(1) writes it. A hyphen would stand for a slash,
// which is in no machine's name.
func unescape(name string) string {
	return escaped.ReplaceAllStringFunc(name, func(s string) string {
		b, err := strconv.ParseUint(s[2:], 16, 8)
		if err != nil || b == 0 || b == '/' {
			return s
		}
		return string([]byte{byte(b)})
	})
}
