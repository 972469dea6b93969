// SPDX-License-Identifier: Apache-2.0

// Command dwell turns every ping into a distributed trace.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit status: 0 if the job was done, otherwise 1 or what the command
// asks for.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
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
	fmt.Fprintln(os.Stderr, "dwell:", err)
	var status interface{ ExitStatus() int }
	if errors.As(err, &status) {
		return status.ExitStatus()
	}
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dwell",
		Short: "Turn every ping into a distributed trace",
		Long: `dwell turns every ping into a distributed trace: its spans are the time that the
packet dwelt in each network device on its way, measured from kernel tracepoints.`,
		Example: `  dwell demo              see it work, in a virtual network made for it
  dwell doctor            what this kernel and these privileges allow
  dwell trace             trace the pings of this host, live`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newDemoCommand(), newTraceCommand(), newReplayCommand(), newLabCommand(), newDoctorCommand())
	return root
}
