// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/internal/check/machine"
)

// vm is an emulated machine.
type vm struct {
	version string // such as 6.1
	kernel  machine.Kernel
	shares  []share
}

// share is a directory that the machine sees, by the name of its tag. The layers are
// shared apart from the root: an overlay does not take a directory below another.
type share struct {
	tag, dir string
	writable bool
}

// find returns the machines for the kernels asked for.
func find(cfg config, root string) ([]vm, error) {
	if _, err := exec.LookPath(cfg.qemu); err != nil {
		return nil, fmt.Errorf("%w: run .ci/install kernels as root", err)
	}
	var machines []vm
	for _, version := range cfg.versions {
		k, err := machine.Find(root, version)
		if err != nil {
			return nil, err
		}
		m := vm{version: version, kernel: k, shares: []share{{tag: rootTag, dir: "/"}, {tag: layerTag + "0", dir: k.Layer}}}
		tools := filepath.Join(root, machine.Layers, "tools")
		if _, err := os.Stat(tools); err == nil { // else they are installed
			m.shares = append(m.shares, share{tag: layerTag + "1", dir: tools})
		}
		if cfg.writable != "" {
			m.shares = append(m.shares, share{tag: writableTag, dir: filepath.Join(root, cfg.writable), writable: true})
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// initramfs writes the file system that the machine begins with: init, its job, and the
// modules needed to reach the shares.
func (m vm) initramfs(dir string, j job) (string, error) {
	var ar machine.Archive
	ar.Directory("proc", "dev", "shares", "memory", "root")
	init, err := os.ReadFile(filepath.Join(dir, "init"))
	if err != nil {
		return "", err
	}
	ar.File("init", init)
	data, err := j.encode()
	if err != nil {
		return "", err
	}
	ar.File(jobFile, data)
	if err := m.kernel.AddModules(&ar, modulesDir, "virtio_pci", "9pnet_virtio", "9p", "overlay"); err != nil {
		return "", err
	}
	name := filepath.Join(dir, "initramfs-"+m.version)
	return name, os.WriteFile(name, ar.Bytes(), 0o600)
}

// arguments are the emulator's. The first serial port is the console, the second has the
// results.
func (m vm) arguments(initramfs, console string) []string {
	args := []string{
		// One thread for both CPUs: before QEMU 8.1, a kernel that patches its code (static
		// keys, as attaching to netfilter does) dies of a stale breakpoint with two
		// (https://bugs.launchpad.net/ubuntu/+source/qemu/+bug/2051965).
		"-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "2G",
		"-nodefaults", "-no-reboot", "-display", "none",
		"-serial", "file:" + console, "-serial", "stdio",
		"-kernel", m.kernel.Image, "-initrd", initramfs,
		// Slowness is not an error: no watchdog, no reports of stalls.
		"-append", "console=ttyS0 panic=-1 oops=panic loglevel=4 mitigations=off nokaslr nowatchdog " +
			"rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=on",
	}
	for _, s := range m.shares {
		readonly := "on"
		if s.writable {
			readonly = "off"
		}
		args = append(args,
			"-fsdev", fmt.Sprintf("local,id=%s,path=%s,security_model=none,readonly=%s,multidevs=remap", s.tag, s.dir, readonly),
			"-device", fmt.Sprintf("virtio-9p-pci,fsdev=%s,mount_tag=%s", s.tag, s.tag))
	}
	return args
}

// boot runs the machine until it ends or ctx does. If that is before its time, the error
// has the end of its console.
func (m vm) boot(ctx context.Context, qemu, dir string, j job, out *results) error {
	initramfs, err := m.initramfs(dir, j)
	if err != nil {
		return err
	}
	console := filepath.Join(dir, "console-"+m.version)
	cmd := exec.CommandContext(ctx, qemu, m.arguments(initramfs, console)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 5 * time.Second
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = errors.Join(out.read(output, input), cmd.Wait(), ctx.Err())
	if err == nil && out.complete(j) {
		return nil
	}
	if err == nil {
		err = errors.New("it gave up")
	}
	return fmt.Errorf("the machine with Linux %s ended before its tests: %w\n%s%s",
		m.version, err, said.String(), tail(console))
}

// tail returns the last lines of a console.
func tail(name string) string {
	const lines = 60
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
