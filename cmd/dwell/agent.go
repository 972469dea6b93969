// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/config"
	"github.com/dwelltrace/dwell/internal/daemon"
)

// defaultConfig is where the configuration is looked for.
const defaultConfig = "/etc/dwell/dwell.yaml"

// agentFlags are the flags of dwell agent.
type agentFlags struct {
	config               string
	check, printDefaults bool
}

func newAgentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run as a daemon: trace, export, serve metrics",
		Long: `Run as a daemon: trace the pings of this host, send the traces to an OpenTelemetry
endpoint, and serve metrics to Prometheus. It is configured by one YAML file, whose
settings can be overridden by environment variables (docs/configuration.md lists every
setting). Needs root, or at least CAP_BPF and CAP_PERFMON; see dwell doctor.

With probes (docs/probes.md), the agent also pings by itself, from namespaces and
containers, so that there is something to trace and to alert on where nobody pings.

On SIGHUP the agent reloads the file without losing a trace. If the new file is invalid,
the agent reports the errors and keeps its current configuration. On SIGTERM or SIGINT it
shuts down cleanly: queued traces are sent, or stay in the spool. Besides /metrics, the
HTTP server offers /readyz (pings are being traced) and /livez (no restart is needed).
systemd receives the same state (Type=notify-reload).

The exit status after SIGTERM or SIGINT is 0 if nothing was lost during shutdown,
otherwise 1.`,
		Example: `  dwell agent --print-defaults > /etc/dwell/dwell.yaml   # start from a file with every setting
  dwell agent --config dwell.yaml --check                # validate it, and show what would run
  dwell agent --config dwell.yaml
  dwell agent --config <(echo 'probes: [{name: gw, netns: [host], targets: [192.0.2.1]}]')
  DWELL_EXPORT_OTLP_ENDPOINT=collector:4317 dwell agent --config /dev/null
  systemctl reload dwell                                 # apply a changed file, or send SIGHUP`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", defaultConfig, "configuration `file` (YAML)")
	flags.BoolVar(&f.check, "check", false, "validate the configuration, print what would run, and exit")
	flags.BoolVar(&f.printDefaults, "print-defaults", false, "print a configuration with every setting commented out, and exit")
	cmd.MarkFlagsMutuallyExclusive("check", "print-defaults")
	return cmd
}

func (f agentFlags) run(cmd *cobra.Command) error {
	if f.printDefaults {
		_, err := cmd.OutOrStdout().Write(config.Example())
		return err
	}
	warnings, err := useOpenTelemetryFile()
	if err != nil {
		return err
	}
	resource, err := otlpOptions(cmd.Context())
	if err != nil {
		return err
	}
	opts := daemon.Options{
		File: f.config, Environ: os.Environ(), Warnings: warnings, Resource: resource,
		Stderr: cmd.ErrOrStderr(),
		OnLogger: func(log *slog.Logger) {
			routeOpenTelemetry(log)
			warnOfProtocol(log)
		},
	}
	if f.check {
		return f.runCheck(cmd, opts)
	}
	// A daemon is not ended by the end of a session, for which the signal is here.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second one ends it at once
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, unix.SIGHUP)
	defer signal.Stop(reload)
	opts.Reload = reload
	return daemon.Run(ctx, opts)
}

func (f agentFlags) runCheck(cmd *cobra.Command, opts daemon.Options) error {
	lines, err := daemon.Check(opts)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	_, err = fmt.Fprintf(out, "%s is valid\n", f.config)
	return err
}
