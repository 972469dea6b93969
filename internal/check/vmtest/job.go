// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// job is what a machine is to do. It finds it in its initramfs.
type job struct {
	Env      []string
	Writable string // directory that stays, or ""
	Tests    []command
}

// command runs the tests of one package.
type command struct {
	Package string // as the results name it
	Dir     string
	Args    []string
}

// converter is the program that turns the output of tests into JSON.
const converter = "test2json"

// build compiles the machines' programs: init, the tests, and their converter.
func build(ctx context.Context, dir string, suites []suite) error {
	if err := golang(ctx, "build", "-o", filepath.Join(dir, "init"), "./internal/check/vmtest"); err != nil {
		return err
	}
	if err := golang(ctx, "build", "-o", filepath.Join(dir, converter), "cmd/test2json"); err != nil {
		return err
	}
	for _, s := range suites {
		if err := golang(ctx, "test", "-c", "-o", filepath.Join(dir, s.binary()), "./"+s.dir); err != nil {
			return err
		}
	}
	return nil
}

func golang(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %v: %w", args, err)
	}
	return nil
}

// job returns what this machine is to do with the programs in dir.
func (m vm) job(cfg config, root, dir string) job {
	j := job{Env: []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=" + scratch,
	}}
	if cfg.writable != "" {
		j.Writable = filepath.Join(root, cfg.writable)
	}
	var own []string
	for _, a := range cfg.args {
		own = append(own, strings.ReplaceAll(a, "{kernel}", m.version))
	}
	for _, s := range cfg.suites {
		name := fmt.Sprintf("linux-%s/%s", m.version, s.dir)
		args := []string{
			filepath.Join(dir, converter), "-t", "-p", name,
			filepath.Join(dir, s.binary()), "-test.v=test2json", "-test.short",
			// With a stack of each goroutine, unlike the end of the machine.
			"-test.timeout=" + (cfg.timeout * 9 / 10).String(),
			"-test.run=" + cfg.run, "-test.skip=" + s.pattern(),
		}
		j.Tests = append(j.Tests, command{Package: name, Dir: filepath.Join(root, s.dir), Args: append(args, own...)})
	}
	return j
}

func (j job) encode() ([]byte, error) { return json.Marshal(j) }
