// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Vmtest runs the tests of package bpf on another kernel, in an emulated machine.
//
//	go run ./internal/check/vmtest -root DIR [-qemu COMMAND] [-run REGEXP]
//
// DIR holds one unpacked kernel package: boot/vmlinuz-VERSION and
// lib/modules/VERSION, as "apt-get download" and "dpkg -x" make it. Nothing is
// installed and no privileges are needed: the machine has no disk and no network,
// only an initramfs with this program as init, the kernel's modules that the tests
// need, and the test binary. It ends with the tests' exit status.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// modules are what the tests' topologies need.
var modules = []string{"veth", "bridge", "vxlan", "nf_tables", "nft_chain_nat", "nft_masq", "nf_nat"}

func main() {
	if os.Getpid() == 1 {
		initialize()
		return
	}
	root := flag.String("root", "", "directory of an unpacked kernel package")
	qemu := flag.String("qemu", "qemu-system-x86_64", "emulator `command`")
	run := flag.String("run", ".", "tests to run")
	timeout := flag.Duration("timeout", 10*time.Minute, "for the whole run")
	flag.Parse()
	if err := host(*root, *qemu, *run, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		os.Exit(1)
	}
}

// host builds the initramfs, boots it and looks for the verdict.
func host(root, qemu, run string, timeout time.Duration) error {
	kernels, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("%s/boot: want one vmlinuz, found %d: -root must be an unpacked kernel package", root, len(kernels))
	}
	version := strings.TrimPrefix(filepath.Base(kernels[0]), "vmlinuz-")
	dir, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image := filepath.Join(dir, "initramfs")
	if err := build(dir, image, filepath.Join(root, "lib", "modules", version), run); err != nil {
		return err
	}
	return boot(qemu, kernels[0], image, timeout)
}

// build writes the initramfs.
func build(dir, image, moduleDir, run string) error {
	self, tests := filepath.Join(dir, "init"), filepath.Join(dir, "tests")
	if err := golang("build", "-o", self, "./internal/check/vmtest"); err != nil {
		return err
	}
	if err := golang("test", "-c", "-o", tests, "./bpf"); err != nil {
		return err
	}
	var ar archive
	ar.directory("proc", "sys", "run", "tmp", "dev", "modules")
	ar.file("run-tests", []byte(run))
	for name, path := range map[string]string{"init": self, "tests": tests} {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		ar.file(name, data)
	}
	loaded, err := resolve(moduleDir, modules)
	if err != nil {
		return err
	}
	for i, m := range loaded {
		ar.file(fmt.Sprintf("modules/%02d-%s", i, m.name), m.data)
	}
	return os.WriteFile(image, ar.bytes(), 0o600)
}

func golang(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func boot(qemu, kernel, image string, timeout time.Duration) error {
	// One thread for both CPUs: before QEMU 8.1, a kernel that patches its code (static
	// keys, as attaching to netfilter does) dies of a stale breakpoint with two
	// (https://bugs.launchpad.net/ubuntu/+source/qemu/+bug/2051965).
	cmd := exec.Command(qemu, "-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "2G",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", kernel, "-initrd", image, "-append", "console=ttyS0 panic=-1 loglevel=4")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	timer := time.AfterFunc(timeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", qemu, err)
	}
	if !bytes.Contains(out.Bytes(), []byte(verdict)) {
		return fmt.Errorf("the tests did not pass")
	}
	return nil
}
