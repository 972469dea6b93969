// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// makeDevices makes the device files whose modules are loaded when they are opened, as of
// /dev/net/tun: no udev does it here. depmod(8) lists them.
func makeDevices() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	list, err := os.Open(filepath.Join("/lib/modules", unix.ByteSliceToString(name.Release[:]), "modules.devname"))
	if err != nil {
		return err
	}
	defer list.Close()
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		if err := makeDevice(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// makeDevice makes what a line says: module, file, type and numbers, "tun net/tun c10:200".
func makeDevice(line string) error {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	var module, file string
	var kind rune
	var major, minor uint32
	if _, err := fmt.Sscanf(line, "%s %s %c%d:%d", &module, &file, &kind, &major, &minor); err != nil {
		return fmt.Errorf("modules.devname: %q: %w", line, err)
	}
	mode := uint32(unix.S_IFCHR)
	if kind == 'b' {
		mode = unix.S_IFBLK
	}
	path := filepath.Join("/dev", file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := unix.Mknod(path, mode|0o600, int(unix.Mkdev(major, minor)))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}
