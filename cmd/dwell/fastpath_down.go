// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/daemon"
)

func newFastPathDownCommand(f *fastPathFlags) *cobra.Command {
	var config, pin string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the fast path from the kernel",
		Long: `Remove the fast path from the kernel: its programs at all devices, its maps and its files below
the directory of pinned programs. Nothing of it is left, and no packet is lost. Needs root.

An agent that runs would put it back, so it must have no tenant with a fast path, or be stopped
before. To remove dwell from a host, stop the agent and then run this.`,
		Example: `  sudo systemctl stop dwell && sudo dwell fastpath down
  sudo dwell fastpath down --pin /sys/fs/bpf/dwell-2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.down(cmd, config, pin) },
	}
	cmd.Flags().StringVar(&config, "config", defaultConfig, "the agent's configuration `file`, for fastpath.pin")
	cmd.Flags().StringVar(&pin, "pin", "", "the `directory` of pinned programs (default: the configuration's fastpath.pin)")
	return cmd
}

func (f *fastPathFlags) down(cmd *cobra.Command, config, pin string) error {
	if err := privileges("dwell fastpath down"); err != nil {
		return err
	}
	if f.tenant != "" {
		return usageError(errors.New("down removes the fast path of all tenants; to stop one's, set fastpath: off in the agent's configuration and reload it"))
	}
	ctx := cmd.Context()
	if pin == "" {
		var err error
		if pin, err = daemon.FastPathPin(daemon.Options{File: config, Environ: os.Environ()}); err != nil {
			return fmt.Errorf("%w; --pin DIRECTORY does without the configuration", err)
		}
	}
	if socket, local := strings.CutPrefix(f.backend, "unix://"); !local {
		return usageError(errors.New("down is for this host: --backend can only name a socket of its agent"))
	} else if !nobodyServes(ctx, socket) {
		if err := f.ask(cmd, func(ctx context.Context, a *askedFastPath) error { return a.isOff(ctx) }); err != nil {
			return err
		}
	}
	if err := accelerator.Remove(pin, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "removed: nothing of the fast path is left in the kernel, nor in %s\n", pin)
	return err
}

// isOff returns an error if the agent has a fast path for some tenant.
func (a *askedFastPath) isOff(ctx context.Context) error {
	all, err := a.agent.client.Tenants(ctx)
	if err != nil {
		return a.failed(ctx, err)
	}
	var on []string
	for _, t := range all.Tenants {
		a.agent.tenant, a.flags.tenant = t.ID, t.ID
		s, err := a.fastPath.Status(ctx, a.query())
		if err != nil {
			return a.failed(ctx, err)
		}
		for i := range s.Tenants {
			if s.Tenants[i].Mode != flow.Off {
				on = append(on, t.ID)
			}
		}
	}
	if len(on) == 0 {
		return nil
	}
	return fmt.Errorf("an agent runs, and would put it back for %s: set fastpath: off in its configuration and reload it, or stop it (systemctl stop dwell); then run this again", strings.Join(on, ", "))
}
