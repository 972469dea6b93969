// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// verdict is what init prints when the tests have passed.
const verdict = "vmtest: tests passed"

// initialize is the machine's first process: it runs the tests and powers off.
func initialize() {
	if err := runTests(); err != nil {
		fmt.Println("vmtest:", err)
	} else {
		fmt.Println(verdict)
	}
	// Power-off needs ACPI, reboot does not; -no-reboot turns it into an end.
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Println("vmtest: reboot:", err)
}

func runTests() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}, {"devtmpfs", "/dev"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := insertModules(); err != nil {
		return err
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	fmt.Printf("vmtest: Linux %s\n", strings.TrimSpace(string(release)))
	pattern, err := os.ReadFile("/run-tests")
	if err != nil {
		return err
	}
	cmd := exec.Command("/tests", "-test.v", "-test.run", string(pattern))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

func insertModules() error {
	files, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, f := range files { // in order of their names
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := unix.InitModule(data, ""); err != nil {
			return fmt.Errorf("insert %s: %w", f, err)
		}
	}
	return nil
}
