// SPDX-License-Identifier: Apache-2.0

// Package agentproc runs dwell agent as a process, for what checks it from outside over a long
// time: by its metrics, its memory, and what it sends.
package agentproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the agent may take to begin, or to take up a configuration.
const patience = 2 * time.Minute

// tick is how often it is looked whether it has.
const tick = 50 * time.Millisecond

// Agent is dwell agent as a process.
type Agent struct {
	cmd  *exec.Cmd
	url  string
	dir  string
	done chan error
}

// Start starts a program's agent with a configuration, to which the address of its metrics is
// added, and waits until it is ready.
func Start(ctx context.Context, program, configuration string, stderr io.Writer) (*Agent, error) {
	dir, err := os.MkdirTemp("", "dwell-check-")
	if err != nil {
		return nil, err
	}
	listen, err := FreeAddress()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	a := &Agent{url: "http://" + listen, dir: dir, done: make(chan error, 1)}
	if err := a.write(configuration); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	a.cmd = exec.Command(program, "agent", "--config", a.file())
	a.cmd.Stderr = stderr
	if err := a.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { a.done <- a.cmd.Wait() }()
	err = a.Until(ctx, "dwell agent is ready", func() (bool, error) {
		body, notYet := a.get(ctx, "/readyz")
		if notYet == nil {
			return true, body.Close()
		}
		return false, nil
	})
	if err != nil {
		return nil, errors.Join(err, a.Stop())
	}
	return a, nil
}

// PID returns the number of the process.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// FreeAddress returns one on which nobody listens just now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (a *Agent) file() string { return filepath.Join(a.dir, "dwell.yaml") }

// write puts a configuration into place, all of it or nothing.
func (a *Agent) write(configuration string) error {
	text := fmt.Sprintf("%s\nhttp: {listen: %q}\n", configuration, a.url[len("http://"):])
	if err := os.WriteFile(a.file()+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(a.file()+".new", a.file())
}

// Reload puts another configuration in force and waits until it is.
func (a *Agent) Reload(ctx context.Context, configuration string) error {
	before, err := a.Metrics(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(a.write(configuration), a.cmd.Process.Signal(unix.SIGHUP)); err != nil {
		return err
	}
	const name = "dwell_agent_config_reloads_total"
	return a.Until(ctx, "the configuration is in force", func() (bool, error) {
		now, err := a.Metrics(ctx)
		if err != nil {
			return false, err
		}
		if now.Sum(name, "result", "failure") > before.Sum(name, "result", "failure") {
			return false, errors.New("dwell agent has refused a configuration; its log says why")
		}
		return now.Sum(name, "result", "success") > before.Sum(name, "result", "success"), nil
	})
}

// Until waits until something is so.
func (a *Agent) Until(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	every := time.NewTicker(tick)
	defer every.Stop()
	for {
		if so, err := is(); so || err != nil {
			return err
		}
		select {
		case err := <-a.done:
			a.done <- err
			return fmt.Errorf("dwell agent has ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("it is not so that %s: %w", what, ctx.Err())
		case <-every.C:
		}
	}
}

func (a *Agent) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s: %s", path, resp.Status), resp.Body.Close())
	}
	return resp.Body, nil
}

// Reopen tells the agent to read its configuration and to open its files again, and does not
// wait.
func (a *Agent) Reopen() error { return a.cmd.Process.Signal(unix.SIGHUP) }

// Stop ends the agent in good order.
func (a *Agent) Stop() error {
	_ = a.cmd.Process.Signal(os.Interrupt)
	return errors.Join(<-a.done, os.RemoveAll(a.dir))
}
