// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// tracked is what the kernel has counted.
type tracked struct{ invalid, resets uint64 }

// tracked reads how many packets connection tracking of the hypervisor has called invalid, and how many resets
// guests and servers have sent or received on established connections.
func (w *world) tracked() (t tracked, err error) {
	err = w.spaces[hypervisor].Do(func() (err error) {
		t.invalid, err = invalid("/proc/thread-self/net/stat/nf_conntrack")
		return err
	})
	if err != nil {
		return t, err
	}
	for _, space := range []string{space0, space1, space2, outside} {
		err = w.spaces[space].Do(func() error {
			text, err := os.ReadFile("/proc/thread-self/net/snmp")
			if err != nil {
				return err
			}
			n, err := snmp(string(text), "Tcp:", "EstabResets")
			t.resets += n
			return err
		})
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

// invalid adds up a column of a table with a line for each CPU, in hexadecimal.
func invalid(path string) (sum uint64, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	column := -1
	for i, name := range strings.Fields(lines[0]) {
		if name == "invalid" {
			column = i
		}
	}
	for _, l := range lines[1:] {
		f := strings.Fields(l)
		if column < 0 || column >= len(f) {
			return 0, fmt.Errorf("%s has no column invalid", path)
		}
		n, err := strconv.ParseUint(f[column], 16, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// snmp returns a number of a table in which a line of names is followed by one of values.
func snmp(text, table, name string) (uint64, error) {
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != table {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i, n := range names {
			if n == name {
				return strconv.ParseUint(f[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("there is no %s %s", table, name)
}
