// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// sendTimeout bounds how long the end of a command waits for a backend.
const sendTimeout = 5 * time.Second

// bounded is an exporter that is given less time to shut down than others.
type bounded struct {
	exporter.Exporter
	timeout time.Duration
}

// Shutdown implements [exporter.Exporter].
func (b bounded) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.Exporter.Shutdown(ctx)
}

// checkTimeout bounds how long a command waits to learn whether the endpoint answers.
const checkTimeout = 2 * time.Second

// exportFlags say where traces go.
type exportFlags struct {
	endpoint, file string
	// queue bounds what waits to be sent; the zero value is the exporters' default.
	queue exporter.Queue
	// patience is how long the end of the command waits for a backend; 0 is
	// sendTimeout.
	patience time.Duration
}

func (f *exportFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.endpoint, "otlp-endpoint", "",
		"send traces to this OTLP/gRPC endpoint: host:4317, http://... or https://...\n"+
			"(default: what OTEL_EXPORTER_OTLP_ENDPOINT says, if it is set)")
	cmd.Flags().StringVar(&f.file, "otlp-file", "",
		"write traces to this file as OTLP/JSON lines, for a Collector's otlpjsonfile receiver;\n"+
			"an existing file is overwritten; - is standard output")
}

// open makes the exporters. An endpoint that does not answer is worth a warning only:
// it may come up while we run, and if it does not, Shutdown will say what was lost.
func (f *exportFlags) open(ctx context.Context, opts otlp.Options, log *slog.Logger) (exporter.Multi, error) {
	var all exporter.Multi
	if f.file != "" {
		e, err := otlpfile.New(otlpfile.Options{Path: f.file, OTLP: opts, Queue: f.queue, Logger: log})
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	endpoint, _ := otlpgrpc.EnvironmentEndpoint()
	if f.endpoint == "" && endpoint == "" {
		return all, nil
	}
	e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: f.endpoint, OTLP: opts, Queue: f.queue, Logger: log})
	if err != nil {
		return nil, err
	}
	check, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := e.Check(check); err != nil {
		log.Warn(err.Error() + "; trying on")
	}
	return append(all, bounded{e, cmp.Or(f.patience, sendTimeout)}), nil
}

// otlpOptions gathers what stands on every resource.
func otlpOptions(ctx context.Context) (otlp.Options, error) {
	opts := otlp.Options{Version: version}
	env, err := otlp.FromEnvironment(ctx)
	if err != nil {
		return opts, err
	}
	opts.Environment = env
	if opts.Host.Name, err = os.Hostname(); err != nil {
		return opts, fmt.Errorf("host name: %w", err)
	}
	// A container image may have no machine ID; the host's name has to do then.
	opts.Host.ID = opts.Host.Name
	if res, err := resource.New(ctx, resource.WithHostID()); err == nil {
		for _, kv := range res.Attributes() {
			if string(kv.Key) == trace.AttrHostID {
				opts.Host.ID = kv.Value.AsString()
			}
		}
	}
	return opts, nil
}
