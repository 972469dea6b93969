// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
	"github.com/dwelltrace/dwell/internal/monitor"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// What dwell monitor shows, besides some of what dwell trace prints.
const (
	outputScreen = "screen"
	outputTable  = "table"
)

func monitorOutputs() []string {
	return []string{outputScreen, outputWaterfall, outputTable, outputJSON, outputNone}
}

// defaultLast is how many of the last traces come first: enough to fill a screen.
const defaultLast = 50

// monitorFlags are the flags of dwell monitor.
type monitorFlags struct {
	tenant, backend string
	tls             client.TLSFiles
	output, file    string
	count           uint64
	duration        time.Duration
	last            int
	outcome         string
	slowerThan      time.Duration
}

func newMonitorCommand() *cobra.Command {
	var f monitorFlags
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Watch the pings of a tenant, or of all, as a running agent sees them",
		Long: `Watch the pings of a tenant as a running dwell agent sees them: how they end, how long they
dwell in each device, which was the slowest and where, what was dropped and why. Without
--tenant, all pings are shown; only operators may see those. Needs no privileges except the
right to ask the agent, which its configuration grants (tenants: access, api: operators).

On a terminal the view fills the screen; press ? there for the keys. Otherwise, waterfalls
are printed. If the agent goes away, dwell monitor says so, tries again until it is back,
and counts what it has missed.`,
		Example: `  dwell monitor --tenant red                           # on this host, full screen
  dwell monitor                                        # all tenants' pings, for the operator
  dwell monitor --tenant red --backend ssh://hypervisor1
  dwell monitor --tenant red --backend https://hypervisor1:9465 --cert red.pem --key red.key --ca ca.pem
  dwell monitor --tenant red --output table --duration 1m
  dwell monitor --tenant red --outcome dropped --output json | jq .
  dwell monitor --tenant red --output none --otlp-file red.jsonl --count 100`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMonitor(cmd, f) },
	}
	f.register(cmd)
	return cmd
}

func (f *monitorFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.tenant, "tenant", "t", "", "show the pings of the tenant with this `ID` (default: all, for operators)")
	flags.StringVar(&f.backend, "backend", "unix://"+api.DefaultSocket, "the agent's `address`: unix:///path, ssh://[user@]host[:port][/path]\n"+
		"or https://host:port")
	flags.StringVar(&f.tls.Cert, "cert", "", "for https: PEM `file` with the client's certificate")
	flags.StringVar(&f.tls.Key, "key", "", "for https: PEM `file` with the certificate's key")
	flags.StringVar(&f.tls.CA, "ca", "", "for https: PEM `file` with the CAs that verify the agent (default: the system's)")
	flags.StringVarP(&f.output, "output", "o", "", "what to show: screen, waterfall, table (time spent in each device, at the end),\n"+
		"json (lines of OTLP/JSON) or none (default: screen on a terminal, otherwise waterfall)")
	flags.StringVar(&f.file, "otlp-file", "", "write traces to this `file` as lines of OTLP/JSON; an existing file is overwritten")
	flags.Uint64VarP(&f.count, "count", "c", 0, "stop after this many pings (0: never)")
	flags.DurationVarP(&f.duration, "duration", "d", 0, "stop after this time (0: never)")
	flags.IntVar(&f.last, "last", defaultLast, fmt.Sprintf("begin with this many of the last pings (default: %d on the screen, otherwise 0)", defaultLast))
	flags.Lookup("last").DefValue = "0" // it is in the text
	flags.StringVar(&f.outcome, "outcome", "", "only pings with this `outcome`: "+strings.Join(outcomeNames(), ", "))
	flags.DurationVar(&f.slowerThan, "slower-than", 0, "only pings whose round trip takes longer than this `time`")
}

func outcomeNames() []string {
	var names []string
	for _, o := range trace.Outcomes() {
		names = append(names, o.String())
	}
	return names
}

// check says which flag has a value that cannot be.
func (f *monitorFlags) check() error {
	if f.tenant != "" {
		if err := tenant.CheckID(f.tenant); err != nil {
			return fmt.Errorf("--tenant: %w", err)
		}
	}
	switch {
	case f.output != "" && !slices.Contains(monitorOutputs(), f.output):
		return fmt.Errorf("unknown output %q; choose one of: %s", f.output, strings.Join(monitorOutputs(), ", "))
	case f.outcome != "" && !slices.Contains(outcomeNames(), f.outcome):
		return fmt.Errorf("--outcome %q: choose one of: %s", f.outcome, strings.Join(outcomeNames(), ", "))
	case f.duration < 0:
		return fmt.Errorf("--duration %v: must not be negative; 0 means no end", f.duration)
	case f.slowerThan < 0:
		return fmt.Errorf("--slower-than %v: must not be negative", f.slowerThan)
	case f.last < 0:
		return fmt.Errorf("--last %d: must not be negative", f.last)
	case f.tls != (client.TLSFiles{}) && !strings.HasPrefix(f.backend, "https://"):
		return errors.New("--cert, --key and --ca are for --backend https://…; on a socket, the agent knows who you are")
	case (f.tls.Cert == "") != (f.tls.Key == ""):
		return errors.New("--cert and --key belong together: give both")
	}
	return nil
}

// stream says which traces are asked for.
func (f *monitorFlags) stream() client.StreamOptions {
	o := client.StreamOptions{Last: f.last, SlowerThan: f.slowerThan}
	for _, outcome := range trace.Outcomes() {
		if outcome.String() == f.outcome {
			o.Outcome = outcome
		}
	}
	return o
}

func runMonitor(cmd *cobra.Command, f monitorFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	in, out, err := f.screen(cmd)
	if err != nil {
		return err
	}
	if f.output != outputScreen && !cmd.Flags().Changed("last") {
		f.last = 0
	}
	c, err := client.New(ctx, client.Options{Backend: f.backend, TLS: f.tls, Stderr: sshStderr(cmd, &f)})
	if err != nil {
		return err
	}
	defer c.Close()
	b := &agentOf{client: c, tenant: f.tenant, backend: f.backend, stream: f.stream()}
	if _, err := b.Summary(ctx); err != nil { // before the screen is taken
		return b.explain(ctx, err)
	}
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	file, err := openLines(f.file)
	if err != nil {
		return err
	}
	feed := monitor.Feed{
		Backend: b, Now: time.Now, KeepLines: file != nil || f.output == outputJSON,
		Filtered: f.outcome != "" || f.slowerThan > 0,
	}
	if f.output == outputScreen {
		feed.Handle = file.handle
		return errors.Join(b.explain(ctx, monitor.Run(ctx, f.view(out), feed, in, out)), file.close())
	}
	p := newMonitorPipe(cmd, f, file, cancel)
	feed.Handle = p.handle
	return errors.Join(b.explain(ctx, p.run(ctx, feed)), file.close())
}

// screen chooses the output, and returns the terminal if that is the screen.
func (f *monitorFlags) screen(cmd *cobra.Command) (in, out *os.File, err error) {
	in, inOK := terminal(cmd.InOrStdin())
	out, outOK := terminal(cmd.OutOrStdout())
	switch {
	case f.output == "" && inOK && outOK:
		f.output = outputScreen
	case f.output == "":
		f.output = outputWaterfall
	case f.output == outputScreen && (!inOK || !outOK):
		return nil, nil, errors.New("--output screen needs a terminal for standard input and output; choose waterfall, table, json or none")
	}
	if f.file == "-" && f.output != outputNone {
		return nil, nil, errors.New("--otlp-file - and what is shown would be mixed on standard output: add --output none, or use --output json")
	}
	return in, out, nil
}

func terminal(v any) (*os.File, bool) {
	file, ok := v.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// sshStderr is where ssh may say something: not on the screen.
func sshStderr(cmd *cobra.Command, f *monitorFlags) io.Writer {
	if f.output == outputScreen {
		return nil
	}
	return cmd.ErrOrStderr()
}

// view is how the screen is drawn.
func (f *monitorFlags) view(out io.Writer) monitor.Options {
	o := waterfallOptions(out)
	return monitor.Options{Tenant: f.tenant, Backend: f.backend, Color: o.Color, ASCII: o.ASCII, Start: time.Now(), Count: f.count}
}
