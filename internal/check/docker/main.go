// SPDX-License-Identifier: Apache-2.0

// Command docker runs dwell as docker-compose.yml does, in a real Docker engine, and looks
// whether what docs/deployment.md says is so: that its traces of a ping between two
// containers name both, that it sees through the engine's NAT and into the demo's lab, and
// what it does without each of its capabilities.
//
// The engine gets a machine of its own to spoil: network, mounts and process numbers are
// namespaces made for it, and everything that it writes lies in a temporary directory.
// Afterwards the host's network, firewall, mounts and control groups are compared with
// what they were before.
//
//	make build && sudo internal/check/docker/verify.sh
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// How this program is called by itself.
const (
	asSandbox = "sandbox" // as the first process of the engine's machine
	asPeer    = "peer"    // as the only process of a container
)

// patience bounds the whole run.
const patience = 8 * time.Minute

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "docker:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	switch {
	case len(args) > 0 && args[0] == asSandbox:
		return sandbox(ctx, args[1:], out)
	case len(args) > 0 && args[0] == asPeer:
		return peer(ctx, args[1:])
	}
	return verify(ctx, args, out)
}

// verify makes the engine's machine, runs the checks in it and compares the host.
func verify(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("docker", flag.ContinueOnError)
	programs := flags.String("engine", ".cache/docker", "where engine.sh has put the engine's programs")
	dwell := flags.String("dwell", "bin/dwell", "the static binary to make the image of")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: use sudo")
	}
	if _, err := os.Stat(*dwell); err != nil {
		return fmt.Errorf("%w: make build makes it", err)
	}
	before, err := takeSnapshot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dwell-docker-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(dir), removeControlGroups(before))
		after, serr := takeSnapshot(context.WithoutCancel(ctx)) // also when it was interrupted
		err = errors.Join(err, serr, before.compare(after))
		if err == nil {
			fmt.Fprintln(out, "ok  the host is as it was:", before)
		}
	}()
	return inSandbox(ctx, dir, *programs, *dwell)
}

// inSandbox runs this program as the first process of a machine of its own. When that
// ends, however it does, the kernel ends all processes in it and undoes all mounts.
func inSandbox(ctx context.Context, dir string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	absolute := []string{asSandbox, dir}
	for _, a := range args {
		path, err := filepath.Abs(a)
		if err != nil {
			return err
		}
		absolute = append(absolute, path)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", absolute...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	return cmd.Run()
}
