// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// snapshot is what an engine could change of a host, as lines of text.
type snapshot struct{ parts []part }

type part struct {
	name  string
	lines []string
}

// takeSnapshot records the state of the host. What a program that is not installed would
// report is left out, and its name with it.
func takeSnapshot(ctx context.Context) (*snapshot, error) {
	s := &snapshot{}
	for _, command := range []struct{ name, line string }{
		{"devices", "ip -o link"},
		{"addresses", "ip -o address"},
		{"routes", "ip route show table all"},
		{"iptables", "iptables-save"},
		{"ip6tables", "ip6tables-save"},
		{"nftables", "nft -s list ruleset"},
	} {
		args := strings.Fields(command.line)
		if _, err := exec.LookPath(args[0]); err != nil {
			continue
		}
		text, err := output(ctx, args[0], args[1:]...)
		if err != nil {
			return nil, err
		}
		s.add(command.name, lines(text))
	}
	sysctls, err := readAll("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding",
		"/proc/sys/net/bridge/bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables")
	if err != nil {
		return nil, err
	}
	s.add("sysctls", sysctls)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	// Whoever else works on this machine may make network namespaces meanwhile.
	s.add("mounts", slices.DeleteFunc(lines(string(mounts)), func(l string) bool { return strings.Contains(l, "/netns/") }))
	groups, err := controlGroups()
	s.add("control groups", groups)
	return s, err
}

func (s *snapshot) add(name string, lines []string) { s.parts = append(s.parts, part{name, lines}) }

// String says what was recorded.
func (s *snapshot) String() string {
	names := make([]string, len(s.parts))
	for i, p := range s.parts {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

// compare returns what came and went.
func (s *snapshot) compare(after *snapshot) error {
	if after == nil {
		return nil
	}
	var errs []error
	for i, p := range s.parts {
		now := after.parts[i].lines
		for _, l := range p.lines {
			if !slices.Contains(now, l) {
				errs = append(errs, fmt.Errorf("%s of the host: gone: %s", p.name, l))
			}
		}
		for _, l := range now {
			if !slices.Contains(p.lines, l) {
				errs = append(errs, fmt.Errorf("%s of the host: new: %s", p.name, l))
			}
		}
	}
	return errors.Join(errs...)
}

// lines splits a listing, without comments and the counters of iptables-save.
func lines(text string) []string {
	var all []string
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if strings.HasPrefix(l, ":") {
			l, _, _ = strings.Cut(l, " [")
		}
		all = append(all, l)
	}
	return all
}

// readAll reads files that need not be there.
func readAll(paths ...string) ([]string, error) {
	var all []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, path+" = "+strings.TrimSpace(string(text)))
	}
	return all, nil
}

// controlGroups lists the directories of the hierarchies that an engine makes groups in.
// What is deeper belongs to others.
func controlGroups() ([]string, error) {
	unified, err := filepath.Glob("/sys/fs/cgroup/docker")
	separate, serr := filepath.Glob("/sys/fs/cgroup/*/docker")
	return append(unified, separate...), errors.Join(err, serr)
}

// removeControlGroups removes the groups that the engine has left: they are the only thing
// of it that is not in a namespace. The kernel refuses to remove one that is in use.
func removeControlGroups(before *snapshot) error {
	var known []string
	for _, p := range before.parts {
		if p.name == "control groups" {
			known = p.lines
		}
	}
	now, err := controlGroups()
	for _, group := range now {
		if !slices.Contains(known, group) {
			err = errors.Join(err, removeEmpty(group))
		}
	}
	return err
}

// removeEmpty removes a group and those in it.
func removeEmpty(group string) error {
	children, err := os.ReadDir(group)
	for _, c := range children {
		if c.IsDir() {
			err = errors.Join(err, removeEmpty(filepath.Join(group, c.Name())))
		}
	}
	return errors.Join(err, os.Remove(group))
}
