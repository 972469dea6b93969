// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sandbox is the first process of the engine's machine.
func sandbox(ctx context.Context, args []string, out io.Writer) error {
	dir, programs, dwell := args[0], args[1], args[2]
	if err := arrange(dir); err != nil {
		return fmt.Errorf("making a machine for the engine: %w", err)
	}
	e, err := startEngine(ctx, dir, programs, out)
	if err != nil {
		return err
	}
	s := scene{engine: e, dir: dir, dwell: dwell, out: out}
	return errors.Join(s.play(ctx), e.stop())
}

// arrange makes the mounts of the engine's machine: what the engine writes outside of its
// own directories goes to a layer over them, and /run begins empty. All is shared, as
// systemd leaves it on a real host, for mounts to propagate into containers.
func arrange(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	for _, lower := range []string{"/etc", "/opt", "/var/lib"} {
		if err := layer(lower, filepath.Join(dir, "layers", filepath.Base(lower))); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making mounts shared: %w", err)
	}
	return errors.Join(os.MkdirAll("/run/netns", 0o755), loopbackUp())
}

// layer mounts an overlay on a directory: what is written to it goes to dir.
func layer(lower, dir string) error {
	upper, work := filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := unix.Mount("overlay", lower, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting a layer over %s: %w", lower, err)
	}
	return nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
