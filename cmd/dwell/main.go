// SPDX-License-Identifier: Apache-2.0

// Command dwell turns every ping into a distributed trace.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/otelconfig"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit status: 0 if the job was done, otherwise 1 or what the command
// asks for.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	routeOpenTelemetry(newLogger(os.Stderr))
	// Who presses Ctrl-C a second time does not want to wait for the clean-up.
	context.AfterFunc(ctx, stop)
	// A write to a closed pipe is an error like others, not the end: there may be a
	// lab to remove. Unlike an ignored signal, this is not inherited.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	cmd := newRootCommand()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	printError(os.Stderr, err)
	var status interface{ ExitStatus() int }
	if errors.As(err, &status) {
		return status.ExitStatus()
	}
	return 1
}

// endSignals shut the program down cleanly. Closing the session (SIGHUP) must not leave a
// lab behind; but nohup asks to outlive it.
func endSignals() []os.Signal {
	signals := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) {
		signals = append(signals, unix.SIGHUP)
	}
	return signals
}

// printError prints an error, and of joined ones each, on a line of its own.
func printError(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintln(w, "dwell:", line)
		}
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dwell",
		Short: "Turn every ping into a distributed trace",
		Long: `dwell turns every ping into a distributed trace. Each span is the time that the packet
spent in one network device on its way, measured from kernel tracepoints.`,
		Example: `  dwell doctor            # check whether this machine is ready to trace
  sudo dwell demo         # see it work, in a virtual network
  sudo dwell trace        # trace the pings of this host, live`,
		Version:       version,
		SilenceErrors: true,
		// dwell agent does the same, but knows later how it is to log.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Lookup(endpointFlag) == nil {
				return nil
			}
			warnings, err := useOpenTelemetryFile()
			if os.Getenv(otelconfig.Variable) != "" && os.Getenv("OTEL_TRACES_SAMPLER") != "" {
				warnings = append(warnings, otelconfig.Variable+": the sampler is only for dwell agent; use --sample-ratio")
			}
			for _, w := range warnings {
				newLogger(cmd.ErrOrStderr()).Warn(w)
			}
			return err
		},
		SilenceUsage: true,
	}
	root.AddCommand(newDemoCommand(), newTraceCommand(), newMonitorCommand(), newAgentCommand(), newReplayCommand(), newBenchCommand(), newLabCommand(), newFirewallCommand(), newFastPathCommand(), newProbeCommand(), newDoctorCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		nameSubcommands(c)
	}
	return root
}

// nameSubcommands has a command that only groups others refuse what is none of them. Left
// to itself, cobra does so for the root alone, and elsewhere prints the help and calls
// that success.
func nameSubcommands(group *cobra.Command) {
	var names []string
	for _, c := range group.Commands() {
		names = append(names, c.Name())
	}
	if len(names) == 0 || group.Runnable() {
		return
	}
	group.Args = cobra.ArbitraryArgs
	group.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return fmt.Errorf("unknown command %q; choose one of: %s %s", cmd.CommandPath()+" "+args[0], cmd.CommandPath(), strings.Join(names, ", "))
	}
}
