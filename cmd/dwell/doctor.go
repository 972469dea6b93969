// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/doctor"
)

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine is ready to trace",
		Long: `Check what this kernel and these privileges allow, and print one line per check, with
the remedy for whatever is missing. The exit status is 0 if this machine is ready to
trace, otherwise 1.`,
		Example: `  dwell doctor            # what you may do as this user
  sudo dwell doctor       # what root may do
  dwell doctor --json     # the same for scripts`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sys, err := doctor.Host(loadAndAttach)
			if err != nil {
				return err
			}
			return writeReport(cmd.OutOrStdout(), doctor.Examine(sys), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	return cmd
}

// writeReport fails if the machine is not fit, for the exit status.
func writeReport(w io.Writer, report doctor.Report, asJSON bool) error {
	write := func(w io.Writer) error { return report.WriteText(w, colourful(w)) }
	if asJSON {
		write = report.WriteJSON
	}
	if err := write(w); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if !report.Fit() {
		return fmt.Errorf("not ready to trace: %d checks failed", report.Count(doctor.Fail))
	}
	return nil
}

// colourful reports whether w is a terminal whose user has not asked for plain
// text (https://no-color.org).
func colourful(w io.Writer) bool {
	file, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""
}

// loadAndAttach tries the programs that tracing needs, with the smallest ring.
func loadAndAttach() error {
	tracer, err := bpf.Load(bpf.Options{RingBytes: os.Getpagesize()})
	if err != nil {
		return err
	}
	return errors.Join(tracer.Attach(), tracer.Close())
}
