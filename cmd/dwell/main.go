// SPDX-License-Identifier: Apache-2.0

// Command dwell turns every ping into a distributed trace.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit status: 0 if the job was done, otherwise 1.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	cmd := newRootCommand()
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "dwell:", err)
		return 1
	}
	return 0
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "dwell",
		Short:         "Turn every ping into a distributed trace",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newLabCommand(), newDoctorCommand())
	return root
}
