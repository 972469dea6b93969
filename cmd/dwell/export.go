// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
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
	"github.com/dwelltrace/dwell/exporter/otlphttp"
)

// liveFileWait is how long tracing waits, each time it has traces, for room in the queue
// of a file that is slow or stuck; a replay waits without limit.
const liveFileWait = 5 * time.Second

// checkTimeout bounds how long a command waits to learn whether the endpoint answers.
const checkTimeout = 2 * time.Second

// endpointFlag is the flag that every command has that sends traces, but dwell agent.
const endpointFlag = "otlp-endpoint"

// exportFlags say where traces go.
type exportFlags struct {
	endpoint, file string
	sampling       samplingFlags
	// replayed is set if what is traced can wait for the exporters.
	replayed bool
}

func (f *exportFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.endpoint, endpointFlag, "",
		"send traces to this OTLP `endpoint`: host:4317, http://... or https://...; over gRPC, unless\n"+
			"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"+
			"(default: OTEL_EXPORTER_OTLP_ENDPOINT, if set)")
	cmd.Flags().StringVar(&f.file, "otlp-file", "",
		"write traces to this `file` as lines of OTLP/JSON, as a Collector's otlpjsonfile receiver\n"+
			"reads them; an existing file is overwritten; - means standard output")
	f.sampling.register(cmd)
}

// check says what is wrong with the flags before anything is made.
func (f *exportFlags) check() error {
	if err := f.sampling.check(); err != nil {
		return err
	}
	if !f.toEndpoint() {
		return nil
	}
	if overHTTP() {
		return otlphttp.CheckEndpoint(f.endpoint)
	}
	return otlpgrpc.CheckEndpoint(f.endpoint)
}

// overHTTP reports whether the environment asks for OTLP over HTTP.
func overHTTP() bool {
	named, _ := otlphttp.EnvironmentProtocol()
	return named == otlphttp.ProtocolHTTP
}

// toEndpoint reports whether the flags or the environment name an endpoint.
func (f *exportFlags) toEndpoint() bool {
	endpoint, _ := otlpgrpc.EnvironmentEndpoint()
	return f.endpoint != "" || endpoint != ""
}

// checkStdout fails if traces and something else are to go to standard output.
func (f *exportFlags) checkStdout(output string) error {
	if f.file == otlpfile.Stdout && output != outputNone {
		return errors.New("--otlp-file - and what is printed would be mixed on standard output: add --output none, or name a file")
	}
	return nil
}

// open makes the exporters, the file last: nothing may fail after an existing one was
// emptied.
func (f *exportFlags) open(ctx context.Context, opts otlp.Options, log *slog.Logger) (exporter.Multi, error) {
	var all exporter.Multi
	if f.toEndpoint() {
		e, err := f.openEndpoint(ctx, opts, log)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if f.file == "" {
		return f.sampling.sample(all, log)
	}
	e, err := otlpfile.New(otlpfile.Options{Path: f.file, OTLP: opts, Queue: f.queue(liveFileWait), Logger: log})
	if err != nil {
		return nil, errors.Join(err, shutdownUnused(all))
	}
	return f.sampling.sample(append(all, e), log)
}

// queue returns the queue of an exporter that a live run waits for no longer than wait.
func (f *exportFlags) queue(wait time.Duration) exporter.Queue {
	if f.replayed {
		wait = exporter.Forever
	}
	return exporter.Queue{Wait: wait}
}

// openEndpoint makes the exporter to an endpoint. One that does not answer is worth a
// warning only: it may come up while we run, and if it does not, Shutdown will say what
// was lost.
func (f *exportFlags) openEndpoint(ctx context.Context, opts otlp.Options, log *slog.Logger) (exporter.Exporter, error) {
	warnOfProtocol(log)
	opts.Graph = true
	e, err := f.newEndpoint(opts, log)
	if err != nil {
		return nil, err
	}
	check, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := e.Check(check); err != nil {
		log.Warn(err.Error() + "; retrying")
	}
	return e, nil
}

// checkable is an exporter that can tell whether its endpoint answers.
type checkable interface {
	exporter.Exporter
	Check(ctx context.Context) error
}

func (f *exportFlags) newEndpoint(opts otlp.Options, log *slog.Logger) (checkable, error) {
	if overHTTP() {
		return otlphttp.New(otlphttp.Options{Endpoint: f.endpoint, OTLP: opts, Queue: f.queue(0), Logger: log})
	}
	return otlpgrpc.New(otlpgrpc.Options{Endpoint: f.endpoint, OTLP: opts, Queue: f.queue(0), Logger: log})
}

// warnOfProtocol says so if the environment asks for a protocol that dwell does not
// speak; the endpoint that it names is then probably not for gRPC either.
func warnOfProtocol(log *slog.Logger) {
	switch named, variable := otlphttp.EnvironmentProtocol(); named {
	case "", otlphttp.ProtocolGRPC, otlphttp.ProtocolHTTP:
	default:
		log.Warn(variable + "=" + named + ": dwell has " + otlphttp.ProtocolGRPC + " and " + otlphttp.ProtocolHTTP + ", and sends over grpc")
	}
}

// shutdownUnused releases exporters that nothing was given to.
func shutdownUnused(sinks exporter.Multi) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return sinks.Shutdown(ctx)
}

// otlpOptions gathers what is on every resource.
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
