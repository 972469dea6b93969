// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollInterval is how often to check for something that sends no notification.
	pollInterval = 100 * time.Millisecond
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// engine is a running dockerd.
type engine struct {
	daemon  *exec.Cmd
	log     *os.File
	out     io.Writer
	compose []string // the command
	exited  chan struct{}
}

// startEngine starts dockerd, which starts containerd, and waits until it answers.
func startEngine(ctx context.Context, dir, programs string, out io.Writer) (*engine, error) {
	path := strings.Join([]string{
		filepath.Join(programs, "bin"), filepath.Join(programs, "deb/usr/sbin"), filepath.Join(programs, "deb/usr/bin"),
		os.Getenv("PATH"), "/usr/sbin", "/sbin",
	}, ":")
	err := errors.Join(os.Setenv("PATH", path), os.Setenv("DOCKER_HOST", "unix:///run/docker.sock"),
		os.Setenv("DOCKER_CONFIG", filepath.Join(dir, "client")))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "dockerd.log"))
	if err != nil {
		return nil, err
	}
	e := &engine{log: log, out: out, exited: make(chan struct{})}
	e.daemon = exec.Command("dockerd", "--data-root", filepath.Join(dir, "data"),
		"--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--host", "unix:///run/docker.sock")
	e.daemon.Stdout, e.daemon.Stderr = log, log
	if err := e.daemon.Start(); err != nil {
		return nil, fmt.Errorf("%w: internal/check/docker/engine.sh gets it", err)
	}
	go func() {
		defer close(e.exited)
		_ = e.daemon.Wait() // it was asked to end, or await reports what it said
	}()
	if err := e.await(ctx); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	e.compose = []string{"docker", "compose"}
	if _, err := output(ctx, "docker", "compose", "version"); err != nil {
		e.compose = []string{"docker-compose"}
	}
	return e, nil
}

// await waits until the engine answers.
func (e *engine) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := poll(ctx, func() error {
		version, err := output(ctx, "docker", "version", "--format", "{{.Server.Version}}")
		if err == nil {
			fmt.Fprintln(e.out, "ok  Docker engine", version)
		}
		return err
	})
	if err != nil {
		text, _ := os.ReadFile(e.log.Name())
		return fmt.Errorf("dockerd does not answer: %w\n%s", err, text)
	}
	return nil
}

// stop ends the engine and with it its containers.
func (e *engine) stop() error {
	defer e.log.Close()
	if err := e.daemon.Process.Signal(unix.SIGTERM); err != nil {
		return fmt.Errorf("stopping dockerd: %w", err)
	}
	select {
	case <-e.exited:
		return nil
	case <-time.After(stopTimeout):
		return errors.New("dockerd does not stop") // it ends with its machine
	}
}

// output runs a command and returns what it writes on standard output, without the white
// space around it. The error has what it wrote on standard error.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String()), nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "docker", args...)
}

// poll tries until it succeeds. When ctx ends it returns the last error.
func poll(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
