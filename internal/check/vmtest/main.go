// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Vmtest runs tests on other kernels, each in an emulated machine.
//
//	go run ./internal/check/vmtest [-kernels 6.1,6.12] [-run REGEXP] [PACKAGE...] [-- ARGUMENT...]
//
// Arguments after "--" are for the test programs; in them, "{kernel}" becomes the kernel's
// version.
//
// The kernels are Debian's, with all their modules, as ".ci/install kernels" unpacks
// them into .cache/kernels. A machine has no disk and no network. Its file system is
// this machine's own, read over 9P and never written to: above it lie the kernel's
// modules, some tools, and a layer in memory that takes what the tests write. Only what
// they write to the directory of -writable stays.
//
// It prints the results as "go test -json" does, with the kernel as part of the
// package's name, for gotestsum to show. It fails if a test fails, if one skips for
// another reason than that the kernel is too old, and if a package has no result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/internal/check/machine"
)

// config is what the command line says.
type config struct {
	qemu     string
	versions []string // of kernels
	run      string
	writable string
	timeout  time.Duration
	suites   []suite
	args     []string // for the test programs
}

func main() {
	if os.Getpid() == 1 {
		initialize()
		return
	}
	var cfg config
	flag.StringVar(&cfg.qemu, "qemu", "qemu-system-x86_64", "emulator `command`")
	kernels := flag.String("kernels", "6.1,6.12", "kernels, of those in "+machine.Layers)
	flag.StringVar(&cfg.run, "run", "", "tests to run, as of go test")
	flag.StringVar(&cfg.writable, "writable", "", "`directory` of the repository that the tests may write to")
	flag.DurationVar(&cfg.timeout, "timeout", 30*time.Minute, "for building the tests and for all machines, which run side by side; they need half of it on two cores")
	flag.Parse()
	packages := flag.Args()
	if i := slices.Index(packages, "--"); i >= 0 {
		packages, cfg.args = packages[:i], packages[i+1:]
	}
	cfg.versions, cfg.suites = strings.Split(*kernels, ","), choose(packages)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := test(ctx, cfg)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		os.Exit(1)
	}
}

// test builds the tests, boots the machines and collects their results.
func test(ctx context.Context, cfg config) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	machines, err := find(cfg, root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Join(root, machine.Layers), "run.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, cfg.suites); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.timeout)
	defer cancel()
	out := &results{out: os.Stdout}
	var group sync.WaitGroup
	errs := make([]error, len(machines))
	for i, m := range machines {
		group.Go(func() {
			job := m.job(cfg, root, dir)
			errs[i] = errors.Join(m.boot(ctx, cfg.qemu, dir, job, out), out.judge(job))
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
