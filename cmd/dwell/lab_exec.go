// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/internal/study/lab"
)

// The exit statuses with which shells say that a command was not run.
const (
	statusCannotRun = 126
	statusNotFound  = 127
)

// statusError is an error that asks for an exit status of its own.
type statusError struct {
	status int
	error
}

// ExitStatus returns the status to exit with.
func (e statusError) ExitStatus() int { return e.status }

func (e statusError) Unwrap() error { return e.error }

func newLabExecCommand(opts *lab.Options) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "exec TOPOLOGY [--in ROLE] [--] [COMMAND [ARG...]]",
		Short: "Run a command in a namespace of a topology",
		Long: `Run a command in a namespace of a topology that is up; without a command, run a shell.
The command replaces dwell, so terminal, signals and exit status are its own. The exit
status is 127 if the command is not found, and 126 if it cannot be run.`,
		Example: `  dwell lab exec bridge -- ping -c 3 203.0.113.8
  dwell lab exec bridge --in hypervisor -- ip route
  dwell lab exec bridge --in outside
  dwell lab exec tenants --in red -- ping -c 3 198.51.100.12`,
		Args:      cobra.MinimumNArgs(1),
		ValidArgs: topologyNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			topology, command, help, err := splitExec(cmd, args)
			if err != nil {
				return err
			}
			if help {
				return cmd.Help()
			}
			if err := labPrivileges(); err != nil {
				return err
			}
			return labExec(topology, role, command, *opts)
		},
	}
	cmd.Flags().StringVar(&role, "in", "", "`role` of the namespace to run it in, as printed by dwell lab up (default: the first)")
	// What comes after the command's name is the command's.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// splitExec takes the topology and the flags after it off the arguments.
func splitExec(cmd *cobra.Command, args []string) (topology string, command []string, help bool, err error) {
	if err := cmd.Flags().Parse(args[1:]); err != nil {
		return "", nil, false, err
	}
	help, err = cmd.Flags().GetBool("help")
	return args[0], cmd.Flags().Args(), help, err
}

// labExec becomes the command. It returns only if that fails.
func labExec(topology, role string, command []string, opts lab.Options) error {
	l, err := lab.Get(topology, opts)
	if err != nil {
		return err
	}
	ns, err := l.Open(cmp.Or(role, l.Topology().Guests()[0]))
	if err != nil {
		return err
	}
	defer ns.Close()
	if len(command) == 0 {
		command = []string{cmp.Or(os.Getenv("SHELL"), "/bin/sh")}
	}
	path, err := exec.LookPath(command[0])
	if errors.Is(err, fs.ErrPermission) {
		return statusError{statusCannotRun, err}
	}
	if err != nil {
		return statusError{statusNotFound, err}
	}
	// The new program runs on the thread that calls exec, so in its namespace.
	return ns.Do(func() error {
		err := syscall.Exec(path, command, os.Environ())
		return statusError{statusCannotRun, fmt.Errorf("running %s: %w", path, err)}
	})
}
