// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Names that machine and host agree on.
const (
	rootTag     = "root"
	layerTag    = "layer" // and a digit
	writableTag = "writable"
	jobFile     = "job"
	endMark     = "vmtest: end" // follows the results
	// modulesDir has the modules that are needed to reach the shares.
	modulesDir = "modules"
	// scratch is the machine's own, unlike /tmp, which may hold the repository.
	scratch = "/run/tmp"
	// overVirtio are the options of each mount of a share
	// (Documentation/filesystems/9p.rst).
	overVirtio = "trans=virtio,version=9p2000.L,msize=512000"
)

// initialize is the machine's first process: it does its job and ends the machine.
func initialize() {
	if err := do(); err != nil {
		fmt.Println("vmtest:", err)
	}
	// Power-off needs ACPI, reboot does not; -no-reboot turns it into an end.
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Println("vmtest: reboot:", err)
}

func do() error {
	data, err := os.ReadFile("/" + jobFile)
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	if err := insertModules(); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	if err := mountAll(); err != nil {
		return err
	}
	if j.Writable != "" {
		if err := mountFrom(writableTag, "9p", j.Writable, 0, overVirtio); err != nil {
			return err
		}
	}
	// As many files as a login has.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}); err != nil {
		return fmt.Errorf("limit of files: %w", err)
	}
	return runTests(j)
}

func insertModules() error {
	files, err := filepath.Glob("/" + modulesDir + "/*")
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

// enterRoot makes the shares and a layer in memory the machine's root.
func enterRoot() error {
	if err := mount("sysfs", "/sys", ""); err != nil {
		return err
	}
	tags, err := filepath.Glob("/sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag")
	if err != nil {
		return err
	}
	layers := map[string]string{}
	for _, file := range tags {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		tag := strings.TrimRight(string(data), "\x00\n")
		if tag == writableTag {
			continue
		}
		layers[tag] = "/shares/" + tag
		// Nobody writes to it, so what was read once stays true.
		if err := mountFrom(tag, "9p", layers[tag], unix.MS_RDONLY, overVirtio+",cache=loose"); err != nil {
			return err
		}
	}
	var lower []string
	for i := 0; layers[fmt.Sprint(layerTag, i)] != ""; i++ {
		lower = append(lower, layers[fmt.Sprint(layerTag, i)])
	}
	lower = append(lower, layers[rootTag])
	if err := mount("tmpfs", "/memory", "size=75%"); err != nil {
		return err
	}
	for _, d := range []string{"/memory/upper", "/memory/work"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := mount("overlay", "/root", "upperdir=/memory/upper,workdir=/memory/work,lowerdir="+strings.Join(lower, ":")); err != nil {
		return err
	}
	// As switch_root(8) does it: the kernel's first root cannot be left by pivot_root(2).
	if err := unix.Chdir("/root"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// mountAll mounts what a system has besides its root.
func mountAll() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"devtmpfs", "/dev"},
		{"devpts", "/dev/pts"},
		{"tmpfs", "/dev/shm"},
		{"tmpfs", "/run"},
		{"tmpfs", scratch},
		{"cgroup2", "/sys/fs/cgroup"},
		{"bpf", "/sys/fs/bpf"},
		{"tracefs", "/sys/kernel/tracing"},
	} {
		if err := mount(m.kind, m.at, ""); err != nil {
			return err
		}
	}
	if err := makeDevices(); err != nil {
		return err
	}
	out, err := exec.Command("/sbin/ip", "link", "set", "lo", "up").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	return nil
}

func mount(kind, at, options string) error { return mountFrom(kind, kind, at, 0, options) }

func mountFrom(source, kind, at string, flags uintptr, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s at %s: %w", kind, at, err)
	}
	return nil
}

// runTests runs one package after the other. Their results say how each ended.
func runTests(j job) error {
	port, err := openPort("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer port.Close()
	for _, t := range j.Tests {
		cmd := exec.Command(t.Args[0], t.Args[1:]...)
		cmd.Dir, cmd.Env = t.Dir, j.Env
		cmd.Stdout, cmd.Stderr = port, os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Printf("vmtest: %s: %v\n", t.Package, err)
		}
	}
	// What the port still holds would be lost if the machine ended now: until the host says
	// that it has read everything.
	if _, err := fmt.Fprintln(port, endMark); err != nil {
		return err
	}
	_, err = port.Read(make([]byte, 1))
	return err
}

// openPort opens a serial port that changes nothing of what is written.
func openPort(name string) (*os.File, error) {
	port, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS)
	if err == nil {
		settings.Oflag &^= unix.OPOST
		settings.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
		settings.Cflag |= unix.CLOCAL
		err = unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, settings)
	}
	if err != nil {
		_ = port.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return port, nil
}
