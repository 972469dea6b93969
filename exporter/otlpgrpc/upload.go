// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"strings"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// upload sends one batch and says how much of it was not taken.
func (e *Exporter) upload(ctx context.Context, traces []*trace.Trace) batch.Result {
	var partial coltracepb.ExportTracePartialSuccess
	err := e.client.UploadTraces(withPartialSuccess(ctx, &partial), otlp.Spans(traces, e.options.OTLP))
	count := exporter.CountOf(traces...)
	switch {
	case err == nil:
		e.recovered()
		return batch.Result{}
	case partial.RejectedSpans != 0 || partial.ErrorMessage != "":
		return e.rejected(&partial, count)
	}
	e.failed(err)
	return batch.Result{Lost: count, Cause: causeOf(err)}
}

func (e *Exporter) recovered() {
	if e.failing.set(false) {
		e.log.Info("traces get through again", "lost", e.Stats().LostString())
	}
	if e.rejecting.set(false) {
		e.log.Info("the endpoint takes all spans again", "lost", e.Stats().LostString())
	}
}

func (e *Exporter) failed(err error) {
	e.mu.Lock()
	e.lastErr = err
	e.mu.Unlock()
	if e.failing.set(true) {
		e.log.Warn("traces do not get through; what cannot be sent is dropped and counted", "error", reason(err))
	}
}

// rejected is for a request that was taken in part. A message without rejected
// spans is a warning of the endpoint's.
func (e *Exporter) rejected(p *coltracepb.ExportTracePartialSuccess, sent exporter.Count) batch.Result {
	if e.failing.set(false) {
		e.log.Info("traces get through again", "lost", e.Stats().LostString())
	}
	if e.rejecting.set(true) {
		e.log.Warn("the endpoint does not take all spans", "rejected_spans", p.RejectedSpans, "message", p.ErrorMessage)
	}
	lost := exporter.Count{Spans: min(max(p.RejectedSpans, 0), sent.Spans)}
	if lost.Spans == sent.Spans {
		lost = sent
	}
	return batch.Result{Lost: lost, Cause: exporter.CauseRejected}
}

// causeOf returns the name of the error's gRPC status code.
func causeOf(err error) exporter.Cause {
	return exporter.Cause(strings.ToLower(code.Code(status.Code(err)).String()))
}

type partialSuccessKey struct{}

// withPartialSuccess makes the interceptor of partialSuccessOption store the
// endpoint's partial success in p. The client itself only reports it as an error
// of an internal type.
func withPartialSuccess(ctx context.Context, p *coltracepb.ExportTracePartialSuccess) context.Context {
	return context.WithValue(ctx, partialSuccessKey{}, p)
}

func partialSuccessOption() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		p, wanted := ctx.Value(partialSuccessKey{}).(*coltracepb.ExportTracePartialSuccess)
		if response, ok := reply.(*coltracepb.ExportTraceServiceResponse); ok && wanted && err == nil {
			p.RejectedSpans = response.GetPartialSuccess().GetRejectedSpans()
			p.ErrorMessage = response.GetPartialSuccess().GetErrorMessage()
		}
		return err
	})
}
